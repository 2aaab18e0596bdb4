"""Numbers that are read as text: which of them a column of a sink holds exactly."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = r"^-?([0-9]+(\.[0-9]+)?|\.[0-9]+)$"
_NOT_FINITE = r"^(NaN|-?Infinity)$"


def faults(texts: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """
    Return which texts are no number, and which numbers do not fit the type (bool arrays).

    Args:
        texts: as PostgreSQL prints numbers.
        type_: a decimal, in which no number is rounded, or a float, in which none becomes infinite.

    >>> [mask.to_pylist() for mask in faults(pa.array(["1.50", "1.505", "NaN"]), pa.decimal128(10, 2))]
    [[False, False, True], [False, True, False]]
    """
    if pa.types.is_floating(type_):
        return _faults_of_floats(texts, type_)
    fits = pc.match_substring_regex(texts, _fitting(type_.precision - type_.scale, type_.scale))
    if pc.all(fits).as_py() is not False:
        return pc.invert(fits), pc.invert(fits)
    numbers = pc.match_substring_regex(texts, _NUMBER)
    return pc.invert(numbers), pc.and_(numbers, pc.invert(fits))


def parse(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return numbers without a fault in their type; zeros at the ends do not count as digits."""
    if pa.types.is_decimal(type_):
        texts = pc.replace_substring_regex(texts, r"^(-?)0+([0-9])", r"\1\2")
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])0+$|\.0+$", r"\1")
    return texts.cast(type_)


def _faults_of_floats(texts: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array]:
    special = pc.match_substring_regex(texts, _NOT_FINITE)
    numbers = pc.or_(special, pc.match_substring_regex(texts, _NUMBER))
    infinite = pc.is_inf(pc.if_else(numbers, texts, None).cast(type_))
    return pc.invert(numbers), pc.fill_null(pc.and_(infinite, pc.invert(special)), fill_value=False)


def _fitting(whole: int, fraction: int) -> str:
    """Return the pattern of numbers with so many digits before and after the point, zeros at the ends left out."""
    before = f"0*[0-9]{{1,{whole}}}" if whole else "0+"
    after = f"[0-9]{{1,{fraction}}}0*" if fraction else "0+"
    return rf"^-?({before}(\.{after})?|\.{after})$"
