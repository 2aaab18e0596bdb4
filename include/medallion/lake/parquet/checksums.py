"""
Checksums of Parquet files, as a chain: whoever knows a file's `FileInfo` can verify every byte of it.

`FileInfo` holds the checksum of the footer. The footer holds the checksum of each column chunk, as a key-value pair of
its `ColumnMetaData`, which other readers ignore. A chunk that is copied to another file keeps its checksum, because its
bytes do not change.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import pyarrow as pa
from thrift.Thrift import TType

from include.medallion.lake.parquet.footer import KEY, KEY_VALUES, VALUE, Struct, list_values

CHECKSUM_KEY = b"medallion.crc32"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """
    A written file as a manifest records it.

    Args:
        rows: number of rows.
        size: bytes of the whole file.
        checksum: CRC-32 of the footer and the eight bytes after it, as eight hexadecimal digits.
    """

    rows: int
    size: int
    checksum: str


def checksum(data: bytes | pa.Buffer, start: int = 0) -> int:
    """Return the CRC-32 of data; `start` is that of the bytes before."""
    return zlib.crc32(data, start)


def to_text(crc: int) -> str:
    """Return a CRC-32 as eight hexadecimal digits."""
    return f"{crc:08x}"


def recorded_checksum(metadata: Struct) -> str | None:
    """Return the checksum that a column chunk's metadata records; None if another program wrote it."""
    pairs = list_values(metadata, KEY_VALUES) if KEY_VALUES in metadata else []
    found = [pair[VALUE][1] for pair in pairs if pair[KEY][1] == CHECKSUM_KEY]
    return found[0].decode("ascii") if found else None


def with_checksum(metadata: Struct, crc: str) -> Struct:
    """Return a column chunk's metadata with a checksum as its only key-value pair."""
    pair = {KEY: (TType.STRING, CHECKSUM_KEY), VALUE: (TType.STRING, crc.encode("ascii"))}
    return {**metadata, KEY_VALUES: (TType.LIST, (TType.STRUCT, [pair]))}
