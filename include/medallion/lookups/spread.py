"""Spread expiry over days, so that answers that arrived together are not all renewed on one day."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_FACTOR = 1009.0  # makes neighbouring numbers end differently


def spread_time(keep: pa.Array, numbers: pa.Array, share: float) -> pa.Array:
    """
    Return times-to-live, each up to a share shorter.

    Args:
        keep: durations in microseconds; null stays null.
        numbers: decide how much shorter each is, the same every time; null: not at all.
        share: of the time-to-live, from 0 to 1.
    """
    if not share:
        return keep
    scaled = pc.multiply(pc.fill_null(numbers, 0.0), _FACTOR)
    shorter = pc.subtract(1.0, pc.multiply(pc.subtract(scaled, pc.floor(scaled)), share))
    kept = pc.multiply(keep.cast(pa.int64()).cast(pa.float64()), shorter)
    return pc.floor(kept).cast(pa.int64()).cast(keep.type)
