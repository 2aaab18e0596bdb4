"""Clocks of workers and of the source: batch ids are times and order batches, so the clocks must agree."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.medallion.errors import ClockSkew

MAX_CLOCK_SKEW = timedelta(minutes=10)


def check_clocks(pipeline: str, source: datetime | None, worker: datetime) -> None:
    """
    Check that two clocks are close to each other.

    Args:
        pipeline: for the message.
        source: time by the source's clock, UTC; None if it was not asked.
        worker: time by this machine's clock, UTC.

    Raises:
        ClockSkew: they are more than `MAX_CLOCK_SKEW` apart; the message names both times.
    """
    if source is not None and abs(worker - source) > MAX_CLOCK_SKEW:
        raise ClockSkew(
            f"this worker's clock says {worker:%Y-%m-%d %H:%M:%S} UTC, that of the source {source:%Y-%m-%d %H:%M:%S} "
            f"UTC: no batch of {pipeline} was begun, because batch ids are times. Synchronise the clocks (NTP)"
        )
