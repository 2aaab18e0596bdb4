"""
Text of a source that does not check it: a database with the encoding SQL_ASCII holds any bytes.

Values that are no UTF-8 can be neither staged nor loaded. They are replaced by what can be read of them, marked by a
NUL, which no text of PostgreSQL contains: the mark says later that the row belongs into the quarantine.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_MARK = "\0"


def mark_invalid(values: pa.Array) -> pa.Array:
    r"""
    Return text with what is no UTF-8 marked, and such bytes as escapes; return other columns unchanged.

    >>> broken = pa.array([b"ok", b"M\xfcller"]).view(pa.string())
    >>> mark_invalid(broken).to_pylist()
    ['ok', '\x00M\\xfcller']
    """
    if not pa.types.is_string(values.type):
        return values
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array(map(_marked, values.view(pa.binary()).to_pylist()), pa.string())
    return values


def is_marked(values: pa.Array) -> pa.Array:
    """Return which texts are marked (bool array; null where the value is)."""
    return pc.starts_with(values, _MARK)


def without_mark(values: pa.Array) -> pa.Array:
    """Return texts as people read them."""
    return pc.replace_substring(values, _MARK, "")


def _marked(value: bytes | None) -> str | None:
    if value is None:
        return None
    text = value.decode(errors="backslashreplace")
    return text if text.encode() == value else f"{_MARK}{text}"
