"""
Forecast of what expires: answers that later refreshes could not renew within the call budget are renewed earlier.

Answers that arrived together expire together. With a budget of 50 calls a day, 1,000 answers that expire on one day are
renewed over the 20 days before. Without a budget, and as long as the budget suffices, answers are renewed when they
expire: an answer that is renewed earlier than it has to be costs calls.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from include.medallion.lake.object_store import Lake
from include.medallion.lookups import cache
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import TIMESTAMP_UTC

_DAY = timedelta(days=1)


def with_forecast(lake: Lake, enrichment: Enrichment, now: datetime) -> Enrichment:
    """Return an enrichment that knows until when answers must expire for the refresh of today to renew them."""
    per_day = enrichment.limits.calls_per_day if enrichment.limits else None
    if enrichment.tracked is None or not per_day:
        return enrichment
    until = renew_until(cache.read_expiry(lake, enrichment), per_day, now)
    return replace(enrichment, tracked=replace(enrichment.tracked, renew_until=until))


def renew_until(expiries: pa.Array, per_day: float, now: datetime) -> datetime | None:
    """
    Return the latest expiry of the answers that must be renewed today, so that each later day fits into the budget.

    Args:
        expiries: when each answer expires (`TIMESTAMP_UTC`).
        per_day: calls that the refresh of one day may make.

    Returns:
        None if later refreshes can renew all of them.

    Examples:
        >>> from datetime import UTC
        >>> now = datetime(2026, 1, 1, tzinfo=UTC)
        >>> in_two_days = pa.array([now + timedelta(days=2)] * 5, TIMESTAMP_UTC)
        >>> renew_until(in_two_days, 2, now) == now + timedelta(days=2), renew_until(in_two_days, 3, now)
        (True, None)
    """
    times = np.sort(expiries.cast(pa.int64()).to_numpy())
    left = times - pa.scalar(now, TIMESTAMP_UTC).value
    # what expires before tomorrow's refresh is renewed by it, as without a budget
    refreshes = np.where(left > 0, np.maximum(left // (_DAY // timedelta(microseconds=1)), 1), 0)
    excess = np.arange(1, len(times) + 1) - per_day * refreshes  # of the answers up to each one, those of today
    most = int(np.ceil(excess.max(initial=0)))
    until: datetime | None = pa.scalar(times[most - 1].item(), TIMESTAMP_UTC).as_py() if most else None
    return until if until and until > now else None
