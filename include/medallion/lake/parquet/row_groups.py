"""Row groups: neighbouring rows of a file, whose columns are decoded on demand or copied as they are encoded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet import footer as footers
from include.medallion.lake.parquet.column_chunks import ColumnChunk, ColumnChunks, detach, place_row_group
from include.medallion.lake.parquet.footer import MAGIC, Struct
from include.medallion.lake.parquet.layout import GroupLayout

BATCH_ROWS = 65_536
MAX_GROUP_ROWS, MAX_GROUP_BYTES = 4 * BATCH_ROWS, 32 << 20  # of a row group that is held in memory at once
_NO_DATA = pa.py_buffer(b"")


class RowGroup(Protocol):
    """Neighbouring rows of a file."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def names(self) -> list[str]:
        """Names of the columns that were read, in the order of the file."""

    def read(self, names: Collection[str]) -> pa.RecordBatch:
        """
        Decode columns.

        Args:
            names: columns to decode; those that were not read are left out. With none, the batch has rows only.

        Returns:
            The columns in the order of the file.

        Raises:
            ContractBroken: the pages of a column are damaged.
        """

    def max_value_bytes(self, name: str) -> int:
        """Return an upper bound of the bytes of a single value of a column."""


@dataclass(frozen=True)
class EncodedRowGroup:
    """A row group whose columns are in memory as they are encoded."""

    file: str  # its name in messages
    footer: Struct  # of the file
    layout: GroupLayout
    chunks: ColumnChunks  # of the columns that were read

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.layout.rows

    @property
    def names(self) -> list[str]:
        """Names of the columns that were read."""
        return [*self.chunks]

    def read(self, names: Collection[str]) -> pa.RecordBatch:
        """Decode columns; see `RowGroup`."""
        wanted = [name for name in self.chunks if name in names]
        if not wanted:
            return pa.RecordBatch.from_arrays([pa.nulls(self.rows)], ["none"]).select([])
        try:
            table = pq.ParquetFile(pa.BufferReader(self._as_file(wanted))).read(wanted)
        except (pa.ArrowException, OSError) as error:
            raise ContractBroken(f"{self.file} is damaged: row group {self.layout.number} cannot be decoded") from error
        (batch,) = table.select(wanted).combine_chunks().to_batches()
        return batch

    def max_value_bytes(self, name: str) -> int:
        """Return the bytes of all encoded values of a column."""
        return self.chunks[name].uncompressed_bytes

    def _as_file(self, wanted: Collection[str]) -> bytes:
        """Return a file of this row group that has all columns, but pages of the wanted ones only."""
        chunks = [self.chunks[c.name] if c.name in wanted else detach(c, _NO_DATA) for c in self.layout.chunks]
        group = place_row_group(chunks, self.rows, len(MAGIC))
        end = footers.encode_footer(footers.with_row_groups(self.footer, [group]))
        return b"".join([MAGIC, *(chunk.data for chunk in chunks), end])


@dataclass(frozen=True)
class DecodedRowGroup:
    """Some rows of a large row group, decoded."""

    batch: pa.RecordBatch

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.batch.num_rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns that were read."""
        return list(self.batch.schema.names)

    def read(self, names: Collection[str]) -> pa.RecordBatch:
        """Return columns; see `RowGroup`."""
        return self.batch.select([name for name in self.names if name in names])

    def max_value_bytes(self, name: str) -> int:
        """Return the bytes of all values of a column."""
        return int(self.batch.column(name).nbytes)


def encoded_chunks(group: RowGroup) -> dict[str, ColumnChunk]:
    """Return the columns that can be copied as they are encoded; none of rows that are decoded."""
    return dict(group.chunks) if isinstance(group, EncodedRowGroup) else {}
