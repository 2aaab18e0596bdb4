"""Durations in pipeline files: `90s`, `15m`, `2h`, `1d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_LONGEST = timedelta(days=365)


def parse_duration(text: str) -> timedelta:
    """
    Return a duration as a time delta.

    Raises:
        ValueError: it is not a whole number with a unit, or longer than a year.

    >>> parse_duration("15m"), parse_duration("2h")
    (datetime.timedelta(seconds=900), datetime.timedelta(seconds=7200))
    """
    found = _DURATION.fullmatch(text)
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else None
    if length is None or length > _LONGEST:
        raise ValueError(f"{text!r} is no duration: write a whole number and s, m, h or d, e.g. 90s, 15m or 2h")
    return length


def _check(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_check)]
