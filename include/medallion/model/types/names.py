"""The types that a pipeline file can choose, by name; without pyarrow, because every parse of the DAGs reads them."""

from __future__ import annotations

import re

TEXT, DOUBLE = "text", "double"
MAX_PRECISION = 38
"""Digits of a number in Snowflake and in Delta."""
_NUMBER = re.compile(r"number\((\d+)(?:, ?(\d+))?\)")


def read_digits(chosen: str) -> tuple[int, int] | None:
    """
    Return precision and scale of `number(p,s)`; None for `text` and `double`.

    Raises:
        ValueError: there is no such type.

    >>> read_digits("number(20, 4)")
    (20, 4)
    """
    if chosen in (TEXT, DOUBLE):
        return None
    digits = _NUMBER.fullmatch(chosen)
    precision, scale = (int(digits[1]), int(digits[2] or 0)) if digits else (0, 0)
    if not 0 < precision <= MAX_PRECISION or scale > precision:
        raise ValueError(f"{chosen!r} is no type: use text, double, or number(p,s) with at most {MAX_PRECISION} digits")
    return precision, scale


def check_type(chosen: str) -> str:
    """
    Return a type of the pipeline file.

    Raises:
        ValueError: there is no such type.
    """
    read_digits(chosen)
    return chosen
