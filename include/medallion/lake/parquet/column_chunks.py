"""
Column chunks: taken out of a file as they are encoded, encoded from rows, or put together to a file.

A column chunk (the pages of one column in one row group) depends neither on its neighbours nor on its place in a file;
only the footer records the place (https://parquet.apache.org/docs/file-format/). Copying one to another file is a copy
of bytes, while reading and writing its values decodes and encodes each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from thrift.Thrift import TType

from include.medallion.lake.parquet import footer as footers
from include.medallion.lake.parquet.checksums import checksum, recorded_checksum, to_text, with_checksum
from include.medallion.lake.parquet.footer import MAGIC, Element, Struct, without
from include.medallion.lake.parquet.layout import ChunkLayout, page_offsets, read_layout

_DETACHED_FIELDS = (footers.INDEX, footers.BLOOM, footers.BLOOM_BYTES)  # of the chunk; a file may do without

_SAMPLE_ROWS, _MIN_REPEATS = 16_384, 4


@dataclass(frozen=True)
class ColumnChunk:
    """The pages of one column in one row group."""

    element: Element
    metadata: Struct  # ColumnMetaData, with places as in a file that begins with this chunk
    data: pa.Buffer

    @property
    def uncompressed_bytes(self) -> int:
        """Bytes of the encoded values before compression: no value has more."""
        return footers.integer(self.metadata, footers.UNCOMPRESSED)

    def without_statistics(self) -> ColumnChunk:
        """Return the chunk without the bounds of its values."""
        return ColumnChunk(self.element, without(self.metadata, footers.STATISTICS), self.data)

    def with_checksum(self) -> ColumnChunk:
        """Return the chunk with a checksum; one that has a checksum keeps it."""
        if recorded_checksum(self.metadata) is not None:
            return self
        return ColumnChunk(self.element, with_checksum(self.metadata, to_text(checksum(self.data))), self.data)


ColumnChunks = Mapping[str, ColumnChunk]
"""Chunks of one row group, by the name of their column."""


def detach(chunk: ChunkLayout, data: pa.Buffer) -> ColumnChunk:
    """Return a chunk as one that does not depend on its file; `data` are its bytes."""
    moved = _move(chunk.metadata, len(MAGIC) - chunk.start)
    return ColumnChunk(chunk.element, without(moved, *_DETACHED_FIELDS), data)


def encode_row_group(
    rows: pa.Table, compression: str, dictionary: Collection[str], statistics: Collection[str]
) -> dict[str, ColumnChunk]:
    """
    Encode rows as one row group: a chunk for each column.

    Args:
        rows: at least one row and one column.
        compression: as pyarrow names it.
        dictionary: columns to encode by a dictionary of their values.
        statistics: columns to record bounds and the number of NULLs of.
    """
    sink = pa.BufferOutputStream()
    some = [[name for name in rows.column_names if name in names] or False for names in (dictionary, statistics)]
    pq.write_table(
        rows,
        sink,
        row_group_size=rows.num_rows,
        compression=compression,
        use_dictionary=some[0],
        write_statistics=some[1],
    )
    data = sink.getvalue()
    end = footers.read_footer(pa.BufferReader(data))
    (group,) = read_layout(end, data.size - len(end)).groups
    return {chunk.name: detach(chunk, data.slice(chunk.start, chunk.end - chunk.start)) for chunk in group.chunks}


def low_cardinality(rows: pa.Table) -> dict[str, bool]:
    """Return for each column whether its first values repeat; not of lists, nor of floats: 0.0 would take -0.0 in."""
    some = rows.slice(0, _SAMPLE_ROWS)
    return {
        field.name: not (pa.types.is_nested(field.type) or pa.types.is_floating(field.type))
        and len(some[field.name].unique()) * _MIN_REPEATS <= some.num_rows
        for field in some.schema
    }


def empty_footer(schema: pa.Schema) -> Struct:
    """Return the footer of a file of no rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    footer = footers.decode_footer(footers.read_footer(pa.BufferReader(sink.getvalue())))
    return footers.with_row_groups(footer, [])


def place_row_group(chunks: Iterable[ColumnChunk], rows: int, start: int) -> Struct:
    """Describe a row group (RowGroup) whose chunks follow each other in a file, from byte `start` on."""
    columns: list[Struct] = []
    end = start
    for chunk in chunks:
        metadata = _move(chunk.metadata, end - len(MAGIC))
        columns.append({footers.START: (TType.I64, 0), footers.METADATA: (TType.STRUCT, metadata)})
        end += chunk.data.size
    uncompressed = sum(column[footers.METADATA][1][footers.UNCOMPRESSED][1] for column in columns)
    return {
        footers.COLUMNS: (TType.LIST, (TType.STRUCT, columns)),
        footers.GROUP_BYTES: (TType.I64, uncompressed),
        footers.GROUP_ROWS: (TType.I64, rows),
        footers.GROUP_START: (TType.I64, start),
        footers.GROUP_COMPRESSED: (TType.I64, end - start),
    }


def _move(metadata: Struct, by: int) -> Struct:
    moved = {field: (TType.I64, place + by) for field, place in page_offsets(metadata).items()}
    return {**without(metadata, footers.DICTIONARY), **moved}
