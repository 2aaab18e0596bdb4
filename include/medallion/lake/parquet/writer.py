"""
Staged rows as Parquet: compressed, in row groups of bounded size, read and written beside the work on them.

What makes it fast is measured in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from include.medallion.lake.parquet.column_chunks import (
    BATCH_ROWS,
    ColumnChunk,
    ColumnChunks,
    empty_footer,
    encode_row_group,
    place_row_group,
    schema_elements,
)
from include.medallion.lake.parquet.footer import MAGIC, Struct, encode_footer, with_row_groups

COMPRESSION = "zstd"
ROW_GROUP_BYTES = 8 << 20  # of rows in memory per row group: the unit that a reader's memory is bounded by
_SAMPLE_ROWS, _MIN_REPEATS = 16_384, 4
T = TypeVar("T")


class Writer:
    """
    One Parquet file that is being written.

    Statistics are kept for integers only: a text may be somebody's name, and nobody here skips rows by it. A column is
    dictionary-encoded if its first values repeat at least four times on average; for others a dictionary is built for
    nothing.
    """

    def __init__(self, path: str, schema: pa.Schema, files: fs.FileSystem, compression: str = COMPRESSION) -> None:
        self._path, self._schema, self._files, self._compression = path, schema, files, compression
        self._footer = empty_footer(schema)
        self._elements = schema_elements(self._footer)
        self._integers = {f.name for f in schema if pa.types.is_integer(f.type)}
        self._repetitive: dict[str, bool] = {}  # of the columns that were encoded so far
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._groups: list[Struct] = []
        self._out: pa.NativeFile | None = (
            None  # opened by the first row group: an upload that is begun costs until it ends
        )
        self._end = 0
        self.rows = 0

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows; they are held until a row group is full."""
        self._held.append(batch)
        self._bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def write_table(self, rows: pa.Table) -> None:
        """Add the rows of a table."""
        for batch in rows.to_batches():
            self.write_batch(batch)

    def copyable_columns(self, chunks: ColumnChunks) -> dict[str, ColumnChunk]:
        """Return the chunks of the columns that are the same here: by name and type, and in whether NULL may be."""
        same = {name: chunk for name, chunk in chunks.items() if chunk.element == self._elements.get(name)}
        return {name: chunk if name in self._integers else chunk.bare for name, chunk in same.items()}

    def write_group(self, kept: ColumnChunks, others: pa.RecordBatch, rows: int) -> None:
        """Add a row group: some columns as they are encoded, the others from their values."""
        self._flush()
        if rows:
            self._append({**kept, **self._encoded(pa.Table.from_batches([others]))}, rows)
        self.rows += rows

    def close(self) -> None:
        """Write what is held, and the end of the file; once."""
        if self._out is None or not self._out.closed:
            self._flush()
            self._write(encode_footer(with_row_groups(self._footer, self._groups)))
            self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        rows = pa.Table.from_batches(self._held, self._schema)
        if rows.num_rows:
            self._append(self._encoded(rows), rows.num_rows)
        self._held, self._bytes = [], 0

    def _encoded(self, rows: pa.Table) -> dict[str, ColumnChunk]:
        if not rows.num_columns:
            return {}
        unseen = [name for name in rows.column_names if name not in self._repetitive]
        self._repetitive |= low_cardinality(rows.select(unseen))
        dictionary = {name for name, yes in self._repetitive.items() if yes}
        return encode_row_group(rows, self._compression, dictionary, self._integers)

    def _append(self, chunks: ColumnChunks, rows: int) -> None:
        ordered = [chunks[name] for name in self._schema.names]
        self._groups.append(place_row_group(ordered, rows, self._end or len(MAGIC)))
        for chunk in ordered:
            self._write(chunk.data)

    def _write(self, data: bytes | pa.Buffer) -> None:
        if self._out is None:
            self._out = self._files.open_output_stream(self._path)
            self._end = self._out.write(MAGIC)
        self._end += self._out.write(data)


def low_cardinality(rows: pa.Table) -> dict[str, bool]:
    """Tell of each column whether its first values repeat."""
    some = rows.slice(0, _SAMPLE_ROWS)
    return {name: len(some[name].unique()) * _MIN_REPEATS <= some.num_rows for name in some.column_names}


def read_batches(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a file's rows; memory holds one row group (reading all at once would fetch the whole file first)."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)
