"""
The watermark: what the sinks hold, remembered by the scheduler between runs.

It is a hint. The sinks are the truth: `apply` checks the position again before it writes. The hint spares a question to
sinks for which asking costs something (Snowflake may have to start a warehouse).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.medallion.model.window import Position, Window

WATERMARK_KEY = "watermark"
Positions = Mapping[str, Position | None]


def advanced(remembered: Positions, window: Window, sinks: Sequence[str]) -> dict[str, Position | None]:
    """
    Return what to remember after a batch.

    A batch that does not advance the watermark (a trial, for example) changes nothing, and the replay of an older batch
    does not move it back.

    Args:
        sinks: names of the sinks that hold the batch now.
    """
    if not window.mode.advances_watermark:
        return dict(remembered)
    held = {name: remembered.get(name) for name in sinks}
    return {
        **remembered,
        **{n: p if p and p.batch_id > window.batch_id else window.position for n, p in held.items()},
    }


def corrected(remembered: Positions, sink: str, position: Position | None) -> dict[str, Position | None]:
    """Return what to remember once a sink was found to hold something else."""
    return {**remembered, sink: position}
