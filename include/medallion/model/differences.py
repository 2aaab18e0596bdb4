"""What a reconcile found and did: counts and ids, no data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from include.medallion.errors import ContractBroken


@dataclass(frozen=True, slots=True)
class Difference:
    """How one sink compares with the source."""

    live: int  # rows not marked as deleted, when done
    missing: int  # rows that are due, but absent or marked as deleted
    older: int  # rows held in an older version than is due
    deleted: int  # rows that the source lost: now marked, or removed


@dataclass(frozen=True, slots=True)
class Report:
    """One reconcile of a pipeline."""

    pipeline: str
    batch_id: int
    source: int  # rows that the source has
    unloadable: int  # of them with a key that no sink can hold
    sinks: dict[str, Difference]

    @property
    def lost(self) -> int:
        """Rows that a sink should hold and does not."""
        return sum(sink.missing + sink.older for sink in self.sinks.values())


def combine(first: Report, second: Report) -> Report:
    """Return what the second comparison found, with the deletes of both."""
    deleted = {name: first.sinks[name].deleted for name in second.sinks}
    return replace(
        second, sinks={n: replace(sink, deleted=sink.deleted + deleted[n]) for n, sink in second.sinks.items()}
    )


def check_nothing_lost(report: Report) -> None:
    """
    Refuse a sink that lost rows.

    Raises:
        ContractBroken: which sink, how many rows, and the fix.
    """
    problems = [
        f"{name} lacks {sink.missing:,} of the source's rows and holds {sink.older:,} in an older version"
        for name, sink in report.sinks.items()
        if sink.missing or sink.older
    ]
    if problems:
        raise ContractBroken(
            f"{'; '.join(problems)}: rows are missing, another writer may have changed the table. Trigger "
            f"medallion_{report.pipeline} with full_refresh; cached look-ups are not billed again"
        )


def summary_line(report: Report) -> str:
    """Return the report in one readable line."""
    sinks = "; ".join(f"{name} {_counts(sink)}" for name, sink in report.sinks.items())
    return (
        f"{report.pipeline} reconcile {report.batch_id}: source {report.source:,} rows, {report.unloadable:,} of them "
        f"with a key that no sink can hold; {sinks}"
    )


def _counts(sink: Difference) -> str:
    return f"{sink.live:,} live, {sink.deleted:,} deleted now, {sink.missing:,} missing, {sink.older:,} older"
