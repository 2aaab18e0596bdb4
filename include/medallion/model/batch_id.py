"""Batch ids: the UTC time at which a batch's window was opened, to the millisecond, as 17 digits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def new_batch_id(now: datetime, last: int) -> int:
    """
    Return the id of a new batch.

    Ids increase even if a clock is set back.

    Args:
        now: time of opening the window.
        last: the largest id that any sink holds; the new id is larger.

    >>> new_batch_id(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), 0)
    20260102030405678
    """
    batch_id = _from_time(now.astimezone(UTC))
    # ids are times: adding 1 to the number would not carry over to seconds
    return batch_id if batch_id > last else _from_time(time_of(last) + timedelta(milliseconds=1))


def time_of(batch_id: int) -> datetime:
    """
    Return the UTC time in a batch id.

    >>> time_of(20260102030405678).isoformat()
    '2026-01-02T03:04:05.678000+00:00'
    """
    return datetime.strptime(f"{batch_id}000", "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)


def _from_time(time: datetime) -> int:
    return int(time.strftime("%Y%m%d%H%M%S%f")[:17])
