"""Where the column chunks of a file are, by its footer."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from thrift.Thrift import TException

from include.medallion.lake.parquet import footer as footers
from include.medallion.lake.parquet.checksums import recorded_checksum
from include.medallion.lake.parquet.footer import MAGIC, Element, Struct, integer, list_values, schema_elements

DECODE_ERRORS = (TException, EOFError, LookupError, ValueError, TypeError, AttributeError, RecursionError, struct.error)
"""What decoding a damaged footer raises."""


@dataclass(frozen=True)
class ChunkLayout:
    """One column chunk of a file: what the footer says of it, and its bytes `start` to `end`."""

    name: str  # of the column
    element: Element
    metadata: Struct  # ColumnMetaData
    start: int
    end: int
    uncompressed_bytes: int
    checksum: str | None

    @property
    def has_dictionary(self) -> bool:
        """Whether the values of a flat column are encoded by a dictionary of them; some may be encoded as they are."""
        return len(self.element) == 1 and footers.DICTIONARY in page_offsets(self.metadata)


@dataclass(frozen=True)
class GroupLayout:
    """One row group of a file: its place among them, its number of rows, and its chunks."""

    number: int
    rows: int
    chunks: list[ChunkLayout]


@dataclass(frozen=True)
class FileLayout:
    """A decoded footer (FileMetaData), how many bytes come before it, and the row groups."""

    footer: Struct
    end: int
    groups: list[GroupLayout]


@lru_cache(maxsize=8)
def read_layout(data: bytes, end: int) -> FileLayout:
    """
    Decode a footer. A file is read several times on its way (its keys, then its rows): the last ones are remembered.

    Args:
        data: the footer, as `read_footer` returns it.
        end: where the footer starts in the file, in bytes.

    Raises:
        DECODE_ERRORS: the footer is damaged, or the file has nested columns that are no lists of values.
    """
    footer = footers.decode_footer(data)
    elements = schema_elements(footer)
    groups = list_values(footer, footers.GROUPS)
    return FileLayout(footer, end, [_group(number, group, elements, end) for number, group in enumerate(groups)])


def page_offsets(metadata: Struct) -> dict[int, int]:
    """Return where a chunk's pages are and, before them, its dictionary; some writers say 0 where there is none."""
    pages = integer(metadata, footers.PAGES)
    dictionary = integer(metadata, footers.DICTIONARY) if footers.DICTIONARY in metadata else pages
    return {footers.PAGES: pages} | ({footers.DICTIONARY: dictionary} if 0 < dictionary < pages else {})


def _group(number: int, group: Struct, elements: dict[str, Element], end: int) -> GroupLayout:
    metadata = [column[footers.METADATA][1] for column in list_values(group, footers.COLUMNS)]
    chunks = [_chunk(name, element, about) for (name, element), about in zip(elements.items(), metadata, strict=True)]
    if not all(len(MAGIC) <= chunk.start < chunk.end <= end for chunk in chunks):
        raise ValueError("a column chunk outside of the file")
    return GroupLayout(number, integer(group, footers.GROUP_ROWS), chunks)


def _chunk(name: str, element: Element, metadata: Struct) -> ChunkLayout:
    start = min(page_offsets(metadata).values())
    end, size = start + integer(metadata, footers.COMPRESSED), integer(metadata, footers.UNCOMPRESSED)
    return ChunkLayout(name, element, metadata, start, end, size, recorded_checksum(metadata))
