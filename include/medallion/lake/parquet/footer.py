"""
Footers of Parquet files: the thrift structures by the numbers of their fields, whatever they are.

The numbers are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift. What
has no name here is kept as it is.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

Struct = dict[int, tuple[int, Any]]
"""The fields of a structure by number: thrift type and value; a list is the type and the values of its elements."""

MAGIC = b"PAR1"
TAIL_BYTES = 8  # length of the footer, and MAGIC
_GUESS_BYTES = 64 << 10  # read at once from the end of a file: most footers are smaller


# fields of FileMetaData
SCHEMA, FILE_ROWS, GROUPS = 2, 3, 4
# of SchemaElement
NAME = 4
# of RowGroup
COLUMNS, GROUP_BYTES, GROUP_ROWS, GROUP_START, GROUP_COMPRESSED, ORDINAL = 1, 2, 3, 5, 6, 7
# of ColumnChunk
START, ABOUT = 2, 3
# of ColumnMetaData, which a ColumnChunk holds as ABOUT
TYPE, UNCOMPRESSED, COMPRESSED, PAGES, INDEX, DICTIONARY, STATISTICS, BLOOM, BLOOM_BYTES = (
    1,
    6,
    7,
    9,
    10,
    11,
    12,
    14,
    15,
)


def read_footer(file: pa.NativeFile) -> Struct:
    """Read the footer of an opened Parquet file."""
    size = file.size()
    tail = file.read_at(min(size, _GUESS_BYTES), max(0, size - _GUESS_BYTES))
    whole = int.from_bytes(tail[-TAIL_BYTES:-4], "little") + TAIL_BYTES
    if whole > len(tail):
        tail = file.read_at(whole, size - whole)
    return _structure(TCompactProtocol(TMemoryBuffer(tail[-whole:-TAIL_BYTES])))


def with_row_groups(footer: Struct, groups: list[Struct]) -> Struct:
    """Return the footer of a file of these row groups (RowGroup) and the same columns."""
    rows = sum(group[GROUP_ROWS][1] for group in groups)
    return {**footer, FILE_ROWS: (TType.I64, rows), GROUPS: (TType.LIST, (TType.STRUCT, groups))}


def list_values(structure: Struct, field: int) -> list:
    """Return the values of a list."""
    return structure[field][1][1]


def encode_footer(footer: Struct) -> bytes:
    """Return what stands behind the pages of a file with this footer."""
    buffer = TMemoryBuffer()
    _write(TCompactProtocol(buffer), TType.STRUCT, footer)
    data = buffer.getvalue()
    return data + len(data).to_bytes(4, "little") + MAGIC


_SIMPLE = {
    TType.BOOL: "Bool",
    TType.BYTE: "Byte",
    TType.I16: "I16",
    TType.I32: "I32",
    TType.I64: "I64",
    TType.DOUBLE: "Double",
    TType.STRING: "Binary",
}


def _structure(wire: TCompactProtocol) -> Struct:
    fields: Struct = {}
    wire.readStructBegin()
    while True:
        _, kind, number = wire.readFieldBegin()
        if kind == TType.STOP:
            wire.readStructEnd()
            return fields
        fields[number] = (kind, _value(wire, kind))
        wire.readFieldEnd()


def _value(wire: TCompactProtocol, kind: int) -> object:
    if kind == TType.STRUCT:
        return _structure(wire)
    if kind == TType.LIST:
        inner, count = wire.readListBegin()
        values = [_value(wire, inner) for _ in range(count)]
        wire.readListEnd()
        return inner, values
    return getattr(wire, f"read{_SIMPLE[kind]}")()


def _write(wire: TCompactProtocol, kind: int, value: Any) -> None:
    if kind == TType.STRUCT:
        wire.writeStructBegin("")
        for number, (inner, one) in sorted(value.items()):
            wire.writeFieldBegin("", inner, number)
            _write(wire, inner, one)
            wire.writeFieldEnd()
        wire.writeFieldStop()
        wire.writeStructEnd()
    elif kind == TType.LIST:
        inner, values = value
        wire.writeListBegin(inner, len(values))
        for one in values:
            _write(wire, inner, one)
        wire.writeListEnd()
    else:
        getattr(wire, f"write{_SIMPLE[kind]}")(value)
