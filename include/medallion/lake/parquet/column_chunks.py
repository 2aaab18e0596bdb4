"""
Column chunks of Parquet files: taken out of a file as they are, decoded, or encoded from rows.

A column chunk (the pages of one column in one row group) depends neither on its neighbours nor on where it stands in a
file; only the footer tells its place (https://parquet.apache.org/docs/file-format/). Handing one on is a copy of bytes,
where reading and writing it anew decodes and encodes every value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from thrift.Thrift import TType

from include.medallion.lake.parquet import footer as footers
from include.medallion.lake.parquet.footer import MAGIC, Struct

BATCH_ROWS = 65_536
MAX_GROUP_ROWS, MAX_GROUP_BYTES = 4 * BATCH_ROWS, 32 << 20  # of a row group that is held in one piece
_DETACHED_FIELDS = (footers.INDEX, footers.BLOOM, footers.BLOOM_BYTES)  # of the chunk; a file may do without


@dataclass(frozen=True)
class ColumnChunk:
    """The pages of one column in one row group."""

    element: Struct  # SchemaElement
    about: Struct  # ColumnMetaData, with places as in a file that begins with it
    data: pa.Buffer

    @property
    def size(self) -> int:
        """Bytes of the values, uncompressed and encoded: no value has more."""
        return self.about[footers.UNCOMPRESSED][1]

    @property
    def bare(self) -> ColumnChunk:
        """The same without statistics."""
        return ColumnChunk(self.element, _without(self.about, footers.STATISTICS), self.data)


ColumnChunks = Mapping[str, ColumnChunk]
"""Chunks of one row group, by the name of their column."""


@dataclass(frozen=True)
class RowGroup:
    """Neighbouring rows of a file: a row group with its chunks, or some rows of a large one, decoded."""

    rows: int
    chunks: ColumnChunks
    footer: Struct  # of the file
    decoded: pa.RecordBatch | None = None

    @property
    def names(self) -> list[str]:
        """Return the names of all columns."""
        return [*(self.chunks if self.decoded is None else self.decoded.schema.names)]

    def read(self, names: Collection[str]) -> pa.RecordBatch:
        """Decode columns: those of the names that are there, in the file's order; maybe none, of as many rows."""
        wanted = [name for name in self.names if name in names]
        if self.decoded is not None:
            return self.decoded.select(wanted)
        if not wanted:
            return pa.RecordBatch.from_arrays([pa.nulls(self.rows)], ["none"]).select([])
        whole = single_group_file([*self.chunks.values()], self.rows, self.footer)
        return pq.read_table(pa.BufferReader(whole), columns=wanted).combine_chunks().to_batches()[0]


def read_groups(file: pa.NativeFile) -> Iterator[RowGroup]:
    """Read the rows of an opened Parquet file of flat columns; memory holds one row group."""
    footer = footers.read_footer(file)
    for number, group in enumerate(footers.list_values(footer, footers.GROUPS)):
        rows, size = group[footers.GROUP_ROWS][1], group[footers.GROUP_BYTES][1]
        if rows <= MAX_GROUP_ROWS and size <= MAX_GROUP_BYTES:
            yield RowGroup(rows, _chunks(file, footer, group), footer)
        else:
            for batch in pq.ParquetFile(file, pre_buffer=True).iter_batches(BATCH_ROWS, row_groups=[number]):
                yield RowGroup(batch.num_rows, {}, footer, batch)


def encode_row_group(
    rows: pa.Table, compression: str, dictionary: Collection[str], statistics: Collection[str]
) -> dict[str, ColumnChunk]:
    """Encode rows as one row group: a chunk for each column."""
    sink = pa.BufferOutputStream()
    there = [[name for name in rows.column_names if name in some] for some in (dictionary, statistics)]
    pq.write_table(
        rows,
        sink,
        row_group_size=rows.num_rows,
        compression=compression,
        use_dictionary=there[0] or False,
        write_statistics=there[1] or False,
    )
    file = pa.BufferReader(sink.getvalue())
    footer = footers.read_footer(file)
    (group,) = footers.list_values(footer, footers.GROUPS)
    return _chunks(file, footer, group)


def empty_footer(schema: pa.Schema) -> Struct:
    """Return the footer of a file of no rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return footers.with_row_groups(footers.read_footer(pa.BufferReader(sink.getvalue())), [])


def schema_elements(footer: Struct) -> dict[str, Struct]:
    """Return what a footer says of each column (SchemaElement); of flat ones only."""
    return {_text(each[footers.NAME]): each for each in footers.list_values(footer, footers.SCHEMA)[1:]}


def place_row_group(chunks: Iterable[ColumnChunk], rows: int, start: int) -> Struct:
    """Describe a row group (RowGroup) whose chunks follow each other in a file, from byte `start` on."""
    columns, end = [], start
    for chunk in chunks:
        moved = {field: (TType.I64, place - len(MAGIC) + end) for field, place in _page_offsets(chunk.about).items()}
        columns.append({footers.START: (TType.I64, 0), footers.ABOUT: (TType.STRUCT, {**chunk.about, **moved})})
        end += chunk.data.size
    plain = sum(column[footers.ABOUT][1][footers.UNCOMPRESSED][1] for column in columns)
    return {
        footers.COLUMNS: (TType.LIST, (TType.STRUCT, columns)),
        footers.GROUP_BYTES: (TType.I64, plain),
        footers.GROUP_ROWS: (TType.I64, rows),
        footers.GROUP_START: (TType.I64, start),
        footers.GROUP_COMPRESSED: (TType.I64, end - start),
    }


def single_group_file(chunks: list[ColumnChunk], rows: int, footer: Struct) -> bytes:
    """Return a file of one row group."""
    group = place_row_group(chunks, rows, len(MAGIC))
    end = footers.encode_footer(footers.with_row_groups(footer, [group]))
    return b"".join([MAGIC, *(chunk.data for chunk in chunks), end])


def _chunks(file: pa.NativeFile, footer: Struct, group: Struct) -> dict[str, ColumnChunk]:
    """Read a row group in one piece, and take it apart."""
    abouts = [column[footers.ABOUT][1] for column in footers.list_values(group, footers.COLUMNS)]
    starts = [min(_page_offsets(about).values()) for about in abouts]
    ends = [start + about[footers.COMPRESSED][1] for start, about in zip(starts, abouts, strict=True)]
    first = min(starts)
    data = pa.py_buffer(file.read_at(max(ends) - first, first))
    each = zip(schema_elements(footer).items(), abouts, starts, strict=True)
    return {name: _detach(element, about, start, data, first) for (name, element), about, start in each}


def _detach(element: Struct, about: Struct, start: int, data: pa.Buffer, first: int) -> ColumnChunk:
    moved = {field: (TType.I64, place - start + len(MAGIC)) for field, place in _page_offsets(about).items()}
    pages = data.slice(start - first, about[footers.COMPRESSED][1])
    return ColumnChunk(element, {**_without(about, footers.DICTIONARY, *_DETACHED_FIELDS), **moved}, pages)


def _page_offsets(about: Struct) -> dict[int, int]:
    """Return where a chunk's pages are, and before them its dictionary; some writers say 0 where there is none."""
    pages = about[footers.PAGES][1]
    dictionary = about.get(footers.DICTIONARY, (TType.I64, pages))[1]
    return {footers.PAGES: pages} | ({footers.DICTIONARY: dictionary} if 0 < dictionary < pages else {})


def _without(structure: Struct, *fields: int) -> Struct:
    return {field: value for field, value in structure.items() if field not in fields}


def _text(field: tuple[int, bytes]) -> str:
    return field[1].decode()
