"""The table that `make chaos` prints."""

from __future__ import annotations

from collections.abc import Iterator

from include.sandbox.query import aligned

from .rig import Rig
from .storm import Leg

HEAD = ["case", "kills", "rows compared", "lost", "doubled", "regressed", "misplaced", "calls over the minimum", "left"]
AT_MOST = 28


def table(legs: list[Leg]) -> Iterator[str]:
    """Yield the lines: each case with its kills, and after each leg what the check found."""
    lines = [HEAD]
    for leg in legs:
        lines += [[case, str(kills), *[""] * 7] for case, kills in sorted(leg.kills.items())]
        lines.append(_checked(leg))
    yield from aligned(lines)


def _checked(leg: Leg) -> list[str]:
    found = leg.verdict
    left = ", ".join(f"{count} {what}" for what, count in found.leftovers.items()) or "nothing"
    numbers = (found.rows, found.lost, found.doubled, found.regressed, found.misplaced, found.over)
    return [f"= after {leg.name} ({leg.seconds:.0f} s)", str(sum(leg.kills.values())), *map(str, numbers), left]


def closing(rig: Rig, legs: list[Leg]) -> Iterator[str]:
    """Yield the sums, what calls over the minimum mean, and every fault."""
    kills, rows = sum(sum(leg.kills.values()) for leg in legs), sum(leg.verdict.rows for leg in legs)
    last, bound = legs[-1].verdict, AT_MOST * _parts_struck(legs)
    yield f"{kills} kills, {rows:,} rows compared in source, Silver and Gold, {rig.runs} runs"
    yield (
        f"Google: {len(rig.google.calls):,} calls, {last.over} over one per postcode; of these {last.paid_twice} for "
        f"an answer that was staged. A struck part may lose {AT_MOST} (8 in flight, 20 not staged): {bound:,} in all"
    )
    yield from (f"{leg.name}: {line}" for leg in legs for line in leg.verdict.details)
    yield from rig.orders.failures


def _parts_struck(legs: list[Leg]) -> int:
    """Count the parts whose look-up was ended: a scheduler, or the wire to Google, takes three at once."""
    weights = {"enrich": 1, "scheduler": 3, "network hangs: Google": 3, "network cut: Google": 3}
    struck = ((case, n) for leg in legs for case, n in leg.kills.items())
    return sum(n * weight for case, n in struck for begin, weight in weights.items() if case.startswith(begin))
