"""Rows of any database as JSON, one object per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # as Postgres and JavaScript write them


def json_lines(result: tuple[Sequence[str], Iterable[Sequence]]) -> Iterator[str]:
    """
    Yield an answer as one JSON object per row.

    Dates, times, decimals, NaN and infinities become text, bytes become hexadecimal text. A
    column whose name occurs before it gets a number: `id`, `id_2`.

    Args:
        result: names of the columns, and rows.
    """
    names = _distinct(result[0])
    for row in result[1]:
        yield json.dumps(dict(zip(names, map(_as_json, row), strict=True)), ensure_ascii=False, allow_nan=False)


def _distinct(names: Sequence[str]) -> list[str]:
    earlier = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name}_{count + 1}" if count else name for name, count in zip(names, earlier, strict=True)]


def _as_json(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_json(item) for item in value]
        case _:
            return value if _is_json(value) else _as_text(value)


def _is_json(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else isinstance(value, bool | int | str | None)


def _as_text(value: Any) -> str:
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case date() | time():
            return value.isoformat()
        case float():
            return NOT_FINITE[str(value)]
        case _:
            return str(value)
