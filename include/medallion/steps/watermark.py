"""
The watermark: what both sinks hold, remembered between runs.

It is a hint. The sinks are the truth: Gold's log is read at every run (it costs
a request or two), Silver's ledger only when the hint is lost, since reading it
may start a warehouse; `load_silver` checks it again before it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from include.medallion.model.window import Position, Window

WATERMARK_KEY = "watermark"


def silver_position(hint: dict | None, ask: Callable[[], Position | None]) -> Position | None:
    """Return what Silver holds: as remembered, or asked if nothing is."""
    if hint is None:
        return ask()
    return Position(**hint["silver"]) if hint["silver"] else None


def advanced(hint: dict | None, window: Window) -> dict | None:
    """Return the hint after a batch: a trial (and such) moves nothing, a replay of an older batch not back."""
    if not window.mode.advances_watermark:
        return hint
    older = hint is not None and hint["silver"] is not None and hint["silver"]["batch_id"] > window.batch_id
    return hint if older else {"silver": asdict(window.position)}


def corrected(position: Position | None) -> dict:
    """Return the hint for a Silver that was found to hold something else than was remembered."""
    return {"silver": asdict(position) if position else None}
