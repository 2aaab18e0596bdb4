"""
Footers of Parquet files as thrift structures: the fields by their numbers.

The numbers are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift. Fields
that have no name here are kept as they are.
"""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

Struct = dict[int, tuple[int, Any]]
"""The fields of a structure by number: thrift type and value; a list is the type and the values of its elements."""

Element = tuple[Struct, ...]
"""What a footer says of the type of a column: its SchemaElement and, of a list, those of its values."""

MAGIC = b"PAR1"
TAIL_BYTES = 8  # length of the footer, and MAGIC
_GUESS_BYTES = 64 << 10  # read at once from the end of a file: most footers are smaller

# fields of FileMetaData
SCHEMA, FILE_ROWS, GROUPS = 2, 3, 4
# of SchemaElement
NAME, CHILDREN = 4, 5
# of RowGroup
COLUMNS, GROUP_BYTES, GROUP_ROWS, GROUP_START, GROUP_COMPRESSED = 1, 2, 3, 5, 6
# of ColumnChunk
START, METADATA = 2, 3
# of ColumnMetaData
UNCOMPRESSED, COMPRESSED, KEY_VALUES, PAGES, INDEX, DICTIONARY = 6, 7, 8, 9, 10, 11
STATISTICS, BLOOM, BLOOM_BYTES = 12, 14, 15
# of KeyValue
KEY, VALUE = 1, 2


def read_footer(file: pa.NativeFile) -> bytes:
    """
    Read the footer of an opened Parquet file, with the eight bytes after it.

    Raises:
        ValueError: the file does not end as a Parquet file does.
    """
    size = file.size()
    tail = file.read_at(min(size, _GUESS_BYTES), max(0, size - _GUESS_BYTES))
    whole = int.from_bytes(tail[-TAIL_BYTES:-4], "little") + TAIL_BYTES
    if tail[-4:] != MAGIC or whole > size:
        raise ValueError("no Parquet footer")
    if whole > len(tail):
        tail = file.read_at(whole, size - whole)
    return cast("bytes", tail[-whole:])


def decode_footer(data: bytes) -> Struct:
    """Decode a footer as `read_footer` returns it (FileMetaData)."""
    return _structure(TCompactProtocol(TMemoryBuffer(data[:-TAIL_BYTES])))


def encode_footer(footer: Struct) -> bytes:
    """Return what follows the pages in a file with this footer."""
    buffer = TMemoryBuffer()
    _write(TCompactProtocol(buffer), TType.STRUCT, footer)
    data: bytes = buffer.getvalue()
    return data + len(data).to_bytes(4, "little") + MAGIC


def with_row_groups(footer: Struct, groups: list[Struct]) -> Struct:
    """Return the footer of a file of these row groups (RowGroup) and the same columns."""
    rows = sum(group[GROUP_ROWS][1] for group in groups)
    return {**footer, FILE_ROWS: (TType.I64, rows), GROUPS: (TType.LIST, (TType.STRUCT, groups))}


def integer(structure: Struct, field: int) -> int:
    """
    Return the value of an integer.

    Raises:
        KeyError, TypeError: there is no such field, or it is of another type, as in a damaged footer.
    """
    value = structure[field][1]
    if not isinstance(value, int):
        raise TypeError("no integer")
    return value


def list_values(structure: Struct, field: int) -> list[Any]:
    """Return the values of a list."""
    values: list[Any] = structure[field][1][1]
    return values


def without(structure: Struct, *fields: int) -> Struct:
    """Return a structure without some of its fields."""
    return {field: value for field, value in structure.items() if field not in fields}


def schema_elements(footer: Struct) -> dict[str, Element]:
    """
    Return the columns of a footer by name, in the order of the file.

    Raises:
        ValueError: a column is neither flat nor a list of values.
    """
    elements, found = iter(list_values(footer, SCHEMA)[1:]), {}
    for each in elements:
        column = [each]
        while children := column[-1].get(CHILDREN, (TType.I32, 0))[1]:  # a list: its values are two levels below
            if children > 1:
                raise ValueError("a nested column")
            column.append(next(elements))
        found[each[NAME][1].decode()] = tuple(column)
    return found


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
