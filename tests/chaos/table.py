"""The table that `make chaos` prints."""

from __future__ import annotations

from collections.abc import Iterator

from include.sandbox.query import aligned

from .chaos_run import Phase
from .cluster import Cluster

HEAD = ["case", "kills", "rows compared", "lost", "doubled", "regressed", "misplaced", "calls over the minimum", "left"]
AT_MOST = 28


def table(phases: list[Phase]) -> Iterator[str]:
    """Yield the lines: each case with its kills, and after each phase what the check found."""
    lines = [HEAD]
    for phase in phases:
        lines += [[case, str(kills), *[""] * 7] for case, kills in sorted(phase.kills.items())]
        lines.append(_checked(phase))
    yield from aligned(lines)


def _checked(phase: Phase) -> list[str]:
    found = phase.verdict
    left = ", ".join(f"{count} {what}" for what, count in found.leftovers.items()) or "nothing"
    numbers = (found.rows, found.lost, found.doubled, found.regressed, found.misplaced, found.over)
    return [f"= after {phase.name} ({phase.seconds:.0f} s)", str(sum(phase.kills.values())), *map(str, numbers), left]


def closing(cluster: Cluster, phases: list[Phase]) -> Iterator[str]:
    """Yield the sums, what calls over the minimum mean, and every fault."""
    kills, rows = sum(sum(phase.kills.values()) for phase in phases), sum(phase.verdict.rows for phase in phases)
    last, bound = phases[-1].verdict, AT_MOST * _parts_killed(phases)
    yield f"{kills} kills, {rows:,} rows compared in source, Silver and Gold, {cluster.runs} runs"
    yield (
        f"Google: {len(cluster.google.calls):,} calls, {last.over} over one per postcode; of these "
        f"{last.paid_twice} for an answer that was staged. A killed part may lose {AT_MOST} (8 in flight, 20 not "
        f"staged): {bound:,} in all"
    )
    yield from (f"{phase.name}: {line}" for phase in phases for line in phase.verdict.details)
    yield from cluster.faults.failures


def _parts_killed(phases: list[Phase]) -> int:
    """Count the parts whose look-up was interrupted: a scheduler, or the connection to Google, affects three."""
    weights = {"enrich": 1, "scheduler": 3, "network hangs: Google": 3, "network cut: Google": 3}
    killed = ((case, n) for phase in phases for case, n in phase.kills.items())
    return sum(n * weight for case, n in killed for begin, weight in weights.items() if case.startswith(begin))
