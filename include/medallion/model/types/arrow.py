"""Arrow types by their name, as recorded schemas and staged files hold them."""

from __future__ import annotations

import re

import pyarrow as pa

TIMESTAMP_UTC = pa.timestamp("us", tz="UTC")
_FLAT = (
    *(pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary()),
    *(pa.date32(), pa.timestamp("us"), TIMESTAMP_UTC, pa.time64("us")),
)
_BY_NAME = {str(type_): type_ for type_ in _FLAT}


def list_of(type_: pa.DataType) -> pa.DataType:
    """Return a list of a type; its values have the name that Delta gives them."""
    return pa.list_(pa.field("element", type_))


def arrow_type(name: str) -> pa.DataType:
    """
    Return the type that has this name (`str` of it).

    Raises:
        ValueError: no column has such a type.

    >>> arrow_type("list<element: decimal128(10, 2)>")
    ListType(list<element: decimal128(10, 2)>)
    """
    if found := _BY_NAME.get(name):
        return found
    if digits := re.fullmatch(r"decimal128\((\d+), (-?\d+)\)", name):
        return pa.decimal128(int(digits[1]), int(digits[2]))
    if values := re.fullmatch(r"list<element: (.+)>", name):
        return list_of(arrow_type(values[1]))
    raise ValueError(f"no column has the type {name}")
