"""Row groups: neighbouring rows of a file, whose columns are decoded on demand or copied as they are encoded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet.chunk_file import ChunkFile, decode
from include.medallion.lake.parquet.column_chunks import ColumnChunk, detach
from include.medallion.lake.parquet.layout import GroupLayout

BATCH_ROWS = 65_536
MAX_GROUP_ROWS, MAX_GROUP_BYTES = 4 * BATCH_ROWS, 32 << 20  # of a row group that is held in memory at once


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

    def read_dictionaries(self, names: Collection[str]) -> pa.RecordBatch:
        """
        Decode columns as `read` does, but leave texts that are encoded by a dictionary as `pa.DictionaryArray`.

        Such a column is decoded in a fifth of the time; `conform` or a cast turns it into texts.
        """

    def max_value_bytes(self, name: str) -> int:
        """Return an upper bound of the bytes of a single value of a column."""


@dataclass(frozen=True)
class EncodedRowGroup:
    """A row group whose columns are in memory as they are encoded."""

    file: str  # its name in messages
    footer: pq.FileMetaData
    layout: GroupLayout
    data: Mapping[str, pa.Buffer]  # of the columns that were read

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.layout.rows

    @property
    def names(self) -> list[str]:
        """Names of the columns that were read."""
        return [chunk.name for chunk in self.layout.chunks if chunk.name in self.data]

    @cached_property
    def chunks(self) -> dict[str, ColumnChunk]:
        """The columns that were read, as chunks that do not depend on the file."""
        return {c.name: detach(c, self.data[c.name]) for c in self.layout.chunks if c.name in self.data}

    def read(self, names: Collection[str]) -> pa.RecordBatch:
        """Decode columns; see `RowGroup`."""
        return self._decode(names, ())

    def read_dictionaries(self, names: Collection[str]) -> pa.RecordBatch:
        """Decode columns, some of them as dictionaries; see `RowGroup`."""
        return self._decode(names, [chunk.name for chunk in self.layout.chunks if chunk.has_dictionary])

    def _decode(self, names: Collection[str], dictionaries: Collection[str]) -> pa.RecordBatch:
        wanted = [name for name in self.names if name in names]
        if not wanted:
            return pa.RecordBatch.from_arrays([pa.nulls(self.rows)], ["none"]).select([])
        ranges = {chunk.start: self.data[chunk.name] for chunk in self.layout.chunks if chunk.name in wanted}
        end = max(chunk.end for chunk in self.layout.chunks)
        try:
            return decode(ChunkFile(ranges, end), self.footer, self.layout.number, wanted, dictionaries)
        except (pa.ArrowException, OSError) as error:
            raise ContractBroken(f"{self.file} is damaged: row group {self.layout.number} cannot be decoded") from error

    def max_value_bytes(self, name: str) -> int:
        """Return the bytes of all encoded values of a column."""
        return self.chunks[name].uncompressed_bytes


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

    def read_dictionaries(self, names: Collection[str]) -> pa.RecordBatch:
        """Return columns; they are decoded already."""
        return self.read(names)

    def max_value_bytes(self, name: str) -> int:
        """Return the bytes of all values of a column."""
        return int(self.batch.column(name).nbytes)


def encoded_chunks(group: RowGroup) -> dict[str, ColumnChunk]:
    """Return the columns that can be copied as they are encoded; none of rows that are decoded."""
    return group.chunks if isinstance(group, EncodedRowGroup) else {}
