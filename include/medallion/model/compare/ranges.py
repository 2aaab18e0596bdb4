"""Ranges of keys in the order of their values (text by its bytes), as conditions in SQL and for Arrow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.columns import Column
from include.medallion.model.values.validation import to_text

Bound = tuple[Any, ...]
"""A key: one plain value for each of its columns."""
Name = Callable[[Column], str]
Literal = Callable[[Column, Any], str]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """
    All keys from `low` on and below `high`; None for no bound.

    Args:
        columns: of the primary key.
    """

    columns: tuple[Column, ...]
    low: Bound | None = None
    high: Bound | None = None

    def sql(self, name: Name, literal: Literal) -> str:
        """
        Return the condition in SQL.

        Args:
            name: expression of a column.
            literal: expression of a value of a column.
        """
        below = [f"NOT ({_below_sql(self.columns, self.low, name, literal)})"] if self.low else []
        below += [f"({_below_sql(self.columns, self.high, name, literal)})"] if self.high else []
        first = self.columns[0]  # by itself, it lets an index or the bounds of files be used
        if self.low and not pa.types.is_floating(first.type):
            below.append(f"{name(first)} >= {literal(first, self.low[0])}")
        if self.high and not pa.types.is_floating(first.type):
            below.append(f"{name(first)} <= {literal(first, self.high[0])}")
        return " AND ".join(below) or "1 = 1"

    def expression(self) -> pc.Expression | None:
        """Return the condition for Arrow; None if all rows meet it."""
        parts = [~_below(self.columns, self.low)] if self.low else []
        parts += [_below(self.columns, self.high)] if self.high else []
        return parts[0] & parts[1] if len(parts) > 1 else parts[0] if parts else None

    def first_expression(self) -> pc.Expression | None:
        """Return bounds of the first column for Arrow, which keys of the range are within; None for text and bytes."""
        first = self.columns[0]
        if pa.types.is_string(first.type) or pa.types.is_binary(first.type):
            return None
        parts = [pc.field(first.name) >= pa.scalar(self.low[0], first.type)] if self.low else []
        parts += [pc.field(first.name) <= pa.scalar(self.high[0], first.type)] if self.high else []
        return parts[0] & parts[1] if len(parts) > 1 else parts[0] if parts else None


def bound_to_text(columns: Sequence[Column], bound: Bound) -> tuple[str, ...]:
    """Return a bound as text, to be recorded."""
    arrays = [pa.array([value], column.type) for column, value in zip(columns, bound, strict=True)]
    return tuple(str(to_text(array)[0]) for array in arrays)


def bound_from_text(columns: Sequence[Column], texts: Sequence[str]) -> Bound:
    """Inverse of `bound_to_text`."""
    return tuple(_parsed(column, text) for column, text in zip(columns, texts, strict=True))


def plan_ranges(columns: tuple[Column, ...], sample: pa.Table, count: int, after: Bound | None) -> list[KeyRange]:
    """
    Divide all keys from a bound on into ranges.

    Args:
        sample: some of the keys, evenly chosen.
        count: of ranges in which all keys, from the first on, would be divided.
        after: where the first range begins; None for the first key.
    """
    names = [column.name for column in columns]
    ordered = sample.select(names).sort_by([(name, "ascending") for name in names])
    places = sorted({len(ordered) * n // count for n in range(1, count)} - {0})
    bounds = sorted({tuple(row.values()) for row in ordered.take(pa.array(places, pa.int64())).to_pylist()})
    later = bounds[bisect_right(bounds, after) :] if after is not None else bounds
    edges = [after, *later, None]
    return [KeyRange(columns, low, high) for low, high in pairwise(edges)]


def _below_sql(columns: Sequence[Column], bound: Bound, name: Name, literal: Literal) -> str:
    words = [(name(column), literal(column, value)) for column, value in zip(columns, bound, strict=True)]
    return " OR ".join(
        " AND ".join([*(f"{n} = {v}" for n, v in words[:place]), f"{words[place][0]} < {words[place][1]}"])
        for place in range(len(words))
    )


def _below(columns: Sequence[Column], bound: Bound) -> pc.Expression:
    pairs = [(pc.field(c.name), pa.scalar(value, c.type)) for c, value in zip(columns, bound, strict=True)]
    found = pairs[-1][0] < pairs[-1][1]
    for field, value in reversed(pairs[:-1]):
        found = (field < value) | ((field == value) & found)
    return found


def _parsed(column: Column, text: str) -> Any:
    if pa.types.is_binary(column.type):
        return bytes.fromhex(text)
    return pa.array([text], pa.string()).cast(column.type)[0].as_py()
