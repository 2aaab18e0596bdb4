"""Column chunks in memory as a file that pyarrow decodes."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.parquet as pq


class ChunkFile(io.RawIOBase):
    """
    A file of which some ranges are in memory, and nothing else can be read.

    pyarrow decodes a row group out of it by the footer of the file that the ranges come from. So pages are not read
    again after they were verified, and no other footer has to be encoded.

    Args:
        ranges: bytes by the place of the first of them in the file.
        size: bytes of the whole file.
    """

    def __init__(self, ranges: Mapping[int, pa.Buffer], size: int) -> None:
        super().__init__()
        self._ranges, self._size, self._place = ranges, size, 0

    def readable(self) -> bool:
        """Return whether bytes can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def read_buffer(self, size: int) -> pa.Buffer:
        """
        Read bytes without a copy; pyarrow prefers this method.

        Raises:
            OSError: they are not in memory.
        """
        for start, data in self._ranges.items():
            if start <= self._place and self._place + size <= start + data.size:
                self._place += size
                return data.slice(self._place - size - start, size)
        raise OSError("a page outside of the column chunks that were read")

    def read(self, size: int = -1) -> bytes:
        """Read bytes; raises as `read_buffer`."""
        return bytes(self.read_buffer(size))


def decode(
    file: ChunkFile, footer: pq.FileMetaData, group: int, names: list[str], dictionaries: Collection[str] = ()
) -> pa.RecordBatch:
    """
    Decode columns of a row group.

    Args:
        names: the columns, in the order of the result.
        dictionaries: columns of texts that are returned as dictionaries (`pa.DictionaryArray`).

    Raises:
        ArrowException, OSError: the pages are damaged.
    """
    opened = pq.ParquetFile(
        pa.PythonFile(file, mode="r"), metadata=footer, pre_buffer=False, read_dictionary=[*dictionaries]
    )
    (batch,) = opened.read_row_group(group, names).select(names).combine_chunks().to_batches()
    return batch
