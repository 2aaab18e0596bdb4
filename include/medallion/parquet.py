"""
Staged rows as Parquet: compressed, in row groups of bounded size, read and written beside the work on them.

What makes it fast is measured in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

COMPRESSION = "zstd"
BATCH_ROWS = 65_536
GROUP_BYTES = 8 << 20  # of rows in memory per row group: the unit that a reader's memory is bounded by
_LOOK_AT, _REPEATS = 16_384, 4
_END = object()
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
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._out: pq.ParquetWriter | None = None
        self.rows = 0

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows; they are held until a row group is full."""
        self._held.append(batch)
        self._bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def write_table(self, rows: pa.Table) -> None:
        """Add the rows of a table."""
        for batch in rows.to_batches():
            self.write_batch(batch)

    def close(self) -> None:
        """Write what is held, and the end of the file; once."""
        if self._out is None or self._out.is_open:
            self._flush()
            self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        rows = pa.Table.from_batches(self._held, self._schema)
        if self._out is None:
            self._out = self._open(rows)
        if rows.num_rows:
            self._out.write_table(rows, row_group_size=rows.num_rows)
        self._held, self._bytes = [], 0

    def _open(self, rows: pa.Table) -> pq.ParquetWriter:
        integers = [f.name for f in self._schema if pa.types.is_integer(f.type)]
        return pq.ParquetWriter(
            self._path,
            self._schema,
            filesystem=self._files,
            compression=self._compression,
            use_dictionary=repetitive(rows) or False,
            write_statistics=integers or False,
        )


def repetitive(rows: pa.Table) -> list[str]:
    """Return the columns whose first values repeat."""
    some = rows.slice(0, _LOOK_AT)
    return [name for name in some.column_names if len(some[name].unique()) * _REPEATS <= some.num_rows]


def batches(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a file's rows; memory holds one row group (reading all at once would fetch the whole file first)."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)


def ahead(*sources: Iterable[T]) -> Iterator[T]:
    """Make the next item of each source in a thread of its own while the caller works; yield items as they come."""
    iterators = [iter(source) for source in sources]
    with ThreadPoolExecutor(max(1, len(iterators)), thread_name_prefix="ahead") as pool:
        coming = {pool.submit(next, iterator, _END): iterator for iterator in iterators}
        while coming:
            for future in wait(coming, return_when=FIRST_COMPLETED).done:
                iterator, item = coming.pop(future), future.result()
                if item is not _END:
                    coming[pool.submit(next, iterator, _END)] = iterator
                    yield item
