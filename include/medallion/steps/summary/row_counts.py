"""
Row accounting of a run: for each sink, rows read = applied + superseded + quarantined + unchanged.

A run whose counts do not match fails, and its watermark is not advanced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.model.counts import Applied
from include.medallion.model.log_range import lsn_text
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts, sum_lookups


@dataclass(frozen=True, slots=True)
class RunSummary:
    """
    What a run did: counts and ids, no data.

    Args:
        after, upto: the window of transaction ids that was read.
        lag_transactions: transactions that had begun but were not below `upto`.
        read: rows read from the source.
        unchanged: rows of a look-up refresh that stay as they are.
        sinks: what each sink did, by its name.
        schema_changes: since the sinks' positions, and what was done about each.
        gone: keys that the log named and the source no longer has; each is counted in the sinks like a row.
        notes: why the log was not read, for instance.
        expectations: rows that do not meet each expectation, by its name.
        warnings: what a person should look at although the run succeeded.
        log_position: up to which the source's log was read; None if it was not.
    """

    pipeline: str
    batch_id: int
    mode: str
    after: int
    upto: int
    lag_transactions: int
    read: int
    quarantined: int
    unchanged: int
    sinks: dict[str, Applied]
    lookups: LookupCounts
    schema_changes: tuple[str, ...] = ()
    expectations: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    log_position: int | None = None


def check_row_counts(
    window: Window, parts: Sequence[EnrichedPart], sinks: Mapping[str, Applied], gone: int = 0
) -> RunSummary:
    """
    Check that every row that was read is accounted for in every sink, and return the run's summary.

    Args:
        gone: keys that the source no longer has.

    Raises:
        ContractBroken: rows are missing; the message names the sink and the counts.
    """
    read, quarantined = sum(p.read for p in parts), sum(p.quarantined for p in parts)
    unchanged = sum(p.unchanged for p in parts)
    loadable = read - quarantined - unchanged + gone
    problems = [
        f"{name}: {read:,} rows read and {gone:,} gone, but {a.inserted:,} inserted + {a.updated:,} updated + "
        f"{a.deleted:,} deleted + {a.superseded:,} superseded + {quarantined:,} quarantined + {unchanged:,} unchanged"
        for name, a in sinks.items()
        if not loadable == a.read == a.accounted
    ]
    if problems:
        raise ContractBroken(
            f"row counts of batch {window.batch_id} do not match; watermark not advanced: {'; '.join(problems)}"
        )
    ids = (window.pipeline, window.batch_id, str(window.mode), window.after, window.upto, window.lag)
    lookups = sum_lookups(part.lookups for part in parts)
    about = (dict(sinks), lookups, window.changes, count_failures(parts), gone, window.notes)
    log_position = window.log.upto if window.log else None
    return RunSummary(*ids, read, quarantined, unchanged, *about, log_position=log_position)


def count_failures(parts: Sequence[EnrichedPart]) -> dict[str, int]:
    """Return how many rows of a batch do not meet each expectation."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.expectations)
    return dict(counts)


def check_expectations(pipeline: Pipeline, window: Window, parts: Sequence[EnrichedPart]) -> None:
    """
    Check that every row meets the expectations whose action is to fail.

    Raises:
        ContractBroken: names the expectations, with the number of rows that do not meet them.
    """
    counts = count_failures(parts)
    failed = [e.label for e in pipeline.expect if e.action == "fail" and counts.get(e.label)]
    if failed:
        found = ", ".join(f"{label} ({counts[label]:,} rows)" for label in failed)
        raise ContractBroken(
            f"rows of batch {window.batch_id} do not meet expectations of pipeline {pipeline.name}: {found}. Nothing "
            "was loaded. Fix the rows in the source, or set action: quarantine to see them, and trigger a new run"
        )


def part_summary_line(part: EnrichedPart) -> str:
    """Return the result of one part in one readable line."""
    counts = part.lookups
    return (
        f"part {part.number}: {part.read:,} rows, {part.quarantined:,} quarantined; "
        f"{counts.keys:,} keys: {counts.cached:,} cached, {counts.calls:,} calls, {counts.cost_usd:.2f} USD; "
        f"{_statuses(counts)}"
    )


def summary_line(summary: RunSummary) -> str:
    """Return the run in one readable line."""
    lookups = summary.lookups
    sinks = "; ".join(f"{name} {_outcome(applied)}" for name, applied in summary.sinks.items())
    return (
        f"{summary.pipeline} batch {summary.batch_id}: {summary.read:,} rows read, "
        f"{summary.quarantined:,} quarantined; {sinks}; "
        f"{lookups.keys:,} keys: {lookups.cached:,} cached, {lookups.calls:,} calls, "
        f"{lookups.cost_usd:.2f} USD; {_statuses(lookups)}; "
        f"watermark {summary.upto}, lag {summary.lag_transactions} transactions"
        + (f", log read up to {lsn_text(summary.log_position)}" if summary.log_position else "")
        + "".join(f"; schema: {change}" for change in summary.schema_changes)
        + "".join(f"; {note}" for note in summary.notes)
        + "".join(f"; {label} fails in {count:,} rows" for label, count in summary.expectations.items() if count)
    )


def _statuses(counts: LookupCounts) -> str:
    return ", ".join(f"{status} {count:,}" for status, count in sorted(counts.statuses.items())) or "no keys"


def _outcome(applied: Applied) -> str:
    version = f" (version {applied.version})" if applied.version is not None else ""
    if applied.replayed:
        return f"held it already{version}"
    deleted = f" -{applied.deleted:,}" if applied.deleted else ""
    withdrawn = f" -{applied.withdrawn:,} withdrawn" if applied.withdrawn else ""
    return f"+{applied.inserted:,} ~{applied.updated:,}{deleted} ={applied.superseded:,}{withdrawn}{version}"


def summary_table(summary: RunSummary) -> str:
    """
    Return the row accounting of a run as a table, one line for each sink.

    >>> done = RunSummary(
    ...     "one", 1, "window", 1, 9, 0, 1200, 2, 0, {"gold": Applied(1198, 1000, 198, 0)}, LookupCounts()
    ... )
    >>> print(summary_table(done))
    sink        read    inserted     updated     deleted  superseded quarantined   unchanged
    gold       1,200       1,000         198           0           0           2           0
    """
    titles = ("sink", "read", "inserted", "updated", "deleted", "superseded", "quarantined", "unchanged")
    width = max(map(len, ("sink", *summary.sinks)))
    rows = [
        (name, summary.read, a.inserted, a.updated, a.deleted, a.superseded, summary.quarantined, summary.unchanged)
        for name, a in summary.sinks.items()
    ]
    lines = [titles, *((name, *(f"{count:,}" for count in counts)) for name, *counts in rows)]
    return "\n".join(f"{first:<{width}}{''.join(f'{c:>12}' for c in rest)}" for first, *rest in lines)
