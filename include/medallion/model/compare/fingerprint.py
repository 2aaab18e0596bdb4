"""
Fingerprints of values: 64 bits that are equal for equal values, wherever they were read.

The rule, by the type that a column has in Gold (`Column.type`); every layer is read in these types before:

- NULL has one fingerprint of its own, whatever the type.
- Booleans, integers, dates and times: the number that they are stored as (days, microseconds UTC).
- Floats: their 64 bits, so that -0.0 is not 0.0; every NaN is the same NaN.
- Exact numbers: their digits at the column's scale.
- Text and bytes: their bytes, text in UTF-8.
- Documents and lists, which the sinks store as VARIANT and ARRAY: their JSON with names in order, without blanks, each
  number in its shortest form.
- Times of day: their text without zeros at the end of the fraction.

A row's fingerprint combines those of its columns in their order. Fingerprints are compared, never stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.columns import Column
from include.medallion.model.types.arrays import lists_to_json
from include.medallion.model.types.documents import as_variant_json

Hashes = npt.NDArray[np.uint64]
_NULL = np.uint64(0x9E3779B97F4A7C15)
_BASE = 0x100000001B3  # odd, so that each byte counts wherever it is
_LONGEST = 1 << 14  # bytes; longer values are hashed one by one
_SLICE = 1 << 22  # bytes of text that are hashed at a time: they take 16 times as much memory
_MIX = tuple(np.uint64(n) for n in (30, 0xBF58476D1CE4E5B9, 27, 0x94D049BB133111EB, 31))


def fingerprints(values: pa.Array, column: Column) -> Hashes:
    """
    Return the fingerprint of each value.

    Args:
        values: in the type of the column, or as text for one whose values are documents or lists.
    """
    kind = column.snowflake_type
    if kind in {"VARIANT", "ARRAY", "OBJECT"}:
        values = _mapped(_as_stored(values), _canonical_json)
    elif kind.startswith("TIME(") or kind == "TIME":
        values = pc.replace_substring_regex(values.cast(pa.string()), r"(\.\d*?)0+$", r"\1")
        values = pc.replace_substring_regex(values, r"\.$", "")
    hashed = _hash(values)
    hashed[values.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return hashed


def _as_stored(values: pa.Array) -> pa.Array:
    """Return documents and lists as the JSON that Snowflake holds: what it has no exact form for is text."""
    if pa.types.is_list(values.type):
        return lists_to_json(values)
    return as_variant_json(values, may_repeat_names=True)


def row_fingerprints(columns: Sequence[Hashes]) -> Hashes:
    """Return the fingerprint of each row: that of all of its columns, at least one, in order."""
    return reduce(lambda row, column: _mix(row * np.uint64(_BASE) + column), columns, np.zeros_like(columns[0]))


def _hash(values: pa.Array) -> Hashes:
    if pa.types.is_null(values.type):
        return np.full(len(values), _NULL, np.uint64)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        return _mix(_hash_bytes(values))
    return _mix(_bits(values))


def _bits(values: pa.Array) -> Hashes:
    """Return each value of a fixed width as 64 bits."""
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False).copy()
        numbers[np.isnan(numbers)] = np.nan
        return np.asarray(numbers.view(np.uint64))
    stored = values.cast(pa.int32()) if pa.types.is_date(values.type) else values
    whole = pc.fill_null(stored.cast(pa.int64()), 0)
    return np.asarray(whole.to_numpy(zero_copy_only=False).view(np.uint64)).copy()


def _mix(numbers: Hashes) -> Hashes:
    """Spread each bit over all bits (the finaliser of SplitMix64)."""
    a, b, c, d, e = _MIX
    numbers = (numbers ^ (numbers >> a)) * b
    numbers = (numbers ^ (numbers >> c)) * d
    return numbers ^ (numbers >> e)


def _hash_bytes(values: pa.Array) -> Hashes:
    """Hash values of any length: a polynomial of their bytes, and their length."""
    filled = pc.fill_null(values.cast(pa.large_binary()), b"")
    lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False).astype(np.int64)
    hashed: Hashes = lengths.astype(np.uint64)
    long = np.flatnonzero(lengths > _LONGEST)
    for row in long:
        digest = blake2b(filled[int(row)].as_py(), digest_size=8).digest()
        hashed[row] = np.uint64(int.from_bytes(digest, "big"))
    short = np.flatnonzero((lengths > 0) & (lengths <= _LONGEST))
    ends = np.cumsum(lengths[short])
    for some in np.split(short, np.searchsorted(ends, np.arange(_SLICE, ends[-1], _SLICE)) if len(ends) else []):
        if len(some):
            hashed[some] = _polynomials(filled.take(pa.array(some)), lengths[some])
    return hashed


def _polynomials(values: pa.Array, lengths: npt.NDArray[np.int64]) -> Hashes:
    data = np.frombuffer(b"".join(values.to_pylist()), np.uint8).astype(np.uint64) + np.uint64(1)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    powers = np.full(int(lengths.max()), _BASE, np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    places = np.arange(len(data)) - np.repeat(starts, lengths)
    sums = np.add.reduceat(_mix(data) * powers[places], starts)
    return np.asarray(sums * np.uint64(_BASE) + lengths.astype(np.uint64), np.uint64)


def _mapped(values: pa.Array, convert: Any) -> pa.Array:
    return pa.array([None if value is None else convert(value) for value in values.to_pylist()], pa.string())


def _canonical_json(value: Any) -> str:
    """
    Return the JSON of a document or list, in the one form that all equal ones have.

    >>> _canonical_json('{"b": 1.0, "a": [true, null, 1e2]}')
    '{"a":[true,null,100],"b":1}'
    """
    parsed = json.loads(value, parse_float=Decimal, parse_int=Decimal) if isinstance(value, str) else value
    return _written(parsed)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_written(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _number(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    return json.dumps(value if value is None or isinstance(value, bool) else str(value), ensure_ascii=False)


def _number(number: Decimal) -> str:
    """Return a number without an exponent and without zeros at the end of its fraction."""
    if not number.is_finite():
        return f'"{number}"'
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text
