"""What the stand-in was asked, and by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple


class Call(NamedTuple):
    """One call as it arrived, whatever became of it."""

    api: str  # geocoding, validation
    key: str
    country: str
    postcode: str
    at: float  # seconds of a monotonic clock


def summary(calls: Iterable[Call]) -> dict[str, Any]:
    """Count calls: in total, by API, by key, by postcode; and their times from the first, in seconds."""
    calls = list(calls)
    return {
        "total": len(calls),
        "by_api": Counter(call.api for call in calls),
        "by_key": Counter(call.key for call in calls),
        "by_postcode": Counter(f"{call.country} {call.postcode}" for call in calls),
        "at": [round(call.at - calls[0].at, 6) for call in calls],
    }
