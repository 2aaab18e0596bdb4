"""
One Parquet file that is being written: compressed, in row groups of bounded size, with a checksum of every byte.

What makes it fast is measured in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import Self

import pyarrow as pa
from pyarrow import fs

from include.medallion.lake.parquet.checksums import FileInfo, checksum, to_text
from include.medallion.lake.parquet.column_chunks import (
    ColumnChunk,
    ColumnChunks,
    empty_footer,
    encode_row_group,
    low_cardinality,
    place_row_group,
)
from include.medallion.lake.parquet.footer import MAGIC, Struct, encode_footer, schema_elements, with_row_groups
from include.medallion.lake.parquet.row_groups import BATCH_ROWS, MAX_GROUP_ROWS, RowGroup, encoded_chunks

COMPRESSION = "zstd"
ROW_GROUP_BYTES = 8 << 20  # of rows in memory per row group: the unit that bounds a reader's memory


class Writer:
    """
    One Parquet file that is being written, as a context manager; a block that raises leaves no file.

    The bounds of integers are recorded, those of other types are not: a text may be a person's name. A column is
    dictionary-encoded if its first values repeat at least four times on average; for others a dictionary costs time
    and saves nothing.

    Args:
        path: of the file, as `files` names it. It is created with the first row group, over what is there.
        schema: the columns: flat ones, and lists of flat ones.
        files: the filesystem.
        compression: as pyarrow names it.
    """

    def __init__(self, path: str, schema: pa.Schema, files: fs.FileSystem, compression: str = COMPRESSION) -> None:
        self._path, self._schema, self._files, self._compression = path, schema, files, compression
        self._footer = empty_footer(schema)
        self._elements = schema_elements(self._footer)
        self._integers = {f.name for f in schema if pa.types.is_integer(f.type)}
        self._repetitive: dict[str, bool] = {}  # of the columns that were encoded so far
        self._buffered: list[pa.RecordBatch] = []
        self._buffered_rows = self._buffered_bytes = 0
        self._groups: list[Struct] = []
        self._out: pa.NativeFile | None = None  # opened late: an upload that is begun costs money until it ends
        self._end = 0
        self._file: FileInfo | None = None
        self.rows = 0

    @property
    def file(self) -> FileInfo:
        """What a manifest records of the file, once it is closed."""
        if self._file is None:
            raise ValueError("the file is not closed yet")
        return self._file

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows; they are buffered until a row group is full."""
        for start in range(0, batch.num_rows, BATCH_ROWS):
            piece = batch.slice(start, BATCH_ROWS)
            if self._buffered_rows + piece.num_rows > MAX_GROUP_ROWS:
                self._flush()
            self._buffered.append(piece)
            self._buffered_rows += piece.num_rows
            self._buffered_bytes += piece.nbytes
            self.rows += piece.num_rows
            if self._buffered_bytes >= ROW_GROUP_BYTES:
                self._flush()

    def write_table(self, rows: pa.Table) -> None:
        """Add the rows of a table."""
        for batch in rows.to_batches():
            self.write_batch(batch)

    def copyable_columns(self, group: RowGroup) -> frozenset[str]:
        """Return the columns of a row group that can be copied: same name, same type, NULL allowed or not."""
        chunks = encoded_chunks(group).items()
        return frozenset(name for name, chunk in chunks if chunk.element == self._elements.get(name))

    def write_row_group(self, group: RowGroup, copied: Collection[str], encoded: pa.RecordBatch) -> None:
        """
        Add a row group: some columns as another file has them encoded, the others from their values.

        Args:
            group: a row group of another file.
            copied: columns to copy from it; of those that `copyable_columns` returns.
            encoded: all other columns, for each row of the group. If no column is copied it may have any rows.

        Raises:
            ValueError: the columns or the rows do not fit together.
        """
        self._flush()
        rows = group.rows if copied else encoded.num_rows
        others = pa.schema([field for field in self._schema if field.name not in copied])
        if encoded.schema.names != others.names or encoded.schema.types != others.types:
            raise ValueError("the columns to encode are not those that are not copied")
        if others.names and encoded.num_rows != rows:
            raise ValueError(f"{rows:,} rows are to be copied, but {encoded.num_rows:,} to be encoded")
        if rows:
            chunks = self._encode(pa.Table.from_batches([encoded]).cast(others))
            self._append({**self._copies(group, copied), **chunks}, rows)
        self.rows += rows

    def close(self) -> None:
        """Write the buffered rows and the footer; a second call does nothing. If it fails, no file is left."""
        if self._file is None:
            try:
                self._flush()
                self._file = self._finish()
            except BaseException as error:
                self._abort(error)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._file is None:
            self._abort(error)

    def _finish(self) -> FileInfo:
        footer = encode_footer(with_row_groups(self._footer, self._groups))
        self._open().write(footer)
        self._open().close()
        return FileInfo(self.rows, self._end + len(footer), to_text(checksum(footer)))

    def _abort(self, error: BaseException) -> None:
        """
        Remove what was written so far.

        pyarrow cannot abort an upload; even its destructor completes it. So the stream is closed without a footer, and
        the file, which no reader accepts, is deleted.
        """
        if self._out is None:
            return
        with suppress(OSError):  # then no file appears
            self._out.close()
        try:
            self._files.delete_file(self._path)
        except FileNotFoundError:
            pass
        except OSError:
            error.add_note(f"The incomplete file {self._path} could not be deleted; no reader accepts it.")

    def _flush(self) -> None:
        rows = pa.Table.from_batches(self._buffered, self._schema)
        if rows.num_rows:
            self._append(self._encode(rows), rows.num_rows)
        self._buffered, self._buffered_rows, self._buffered_bytes = [], 0, 0

    def _encode(self, rows: pa.Table) -> dict[str, ColumnChunk]:
        if not rows.num_columns:
            return {}
        unseen = [name for name in rows.column_names if name not in self._repetitive]
        self._repetitive |= low_cardinality(rows.select(unseen))
        dictionary = {name for name, yes in self._repetitive.items() if yes}
        return encode_row_group(rows, self._compression, dictionary, self._integers)

    def _copies(self, group: RowGroup, names: Collection[str]) -> dict[str, ColumnChunk]:
        chunks = {name: chunk for name, chunk in encoded_chunks(group).items() if name in names}
        return {n: chunk if n in self._integers else chunk.without_statistics() for n, chunk in chunks.items()}

    def _append(self, chunks: ColumnChunks, rows: int) -> None:
        ordered = [chunks[name].with_checksum() for name in self._schema.names]
        out = self._open()
        self._groups.append(place_row_group(ordered, rows, self._end))
        for chunk in ordered:
            self._end += out.write(chunk.data)

    def _open(self) -> pa.NativeFile:
        if self._out is None:
            self._out = self._files.open_output_stream(self._path)
            self._end = self._out.write(MAGIC)
        return self._out
