"""What a reconcile found and did: counts and ids, no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from include.medallion.errors import ContractBroken, TooManyDeletes


@dataclass(frozen=True, slots=True)
class Difference:
    """
    How one sink compares with the source.

    Args:
        live: rows not marked as deleted.
        missing: rows that are due, but absent or marked as deleted.
        older: rows held in an older version than is due.
        gone: live rows that the source no longer has, which are to be deleted.
        deleted: rows that were marked or removed; with hard deletes also rows that had been marked before.
    """

    live: int
    missing: int
    older: int
    gone: int = 0
    deleted: int = 0

    def with_deletes(self, deleted: int) -> Difference:
        """Return the difference once rows are deleted."""
        return replace(self, live=self.live - self.gone, gone=0, deleted=deleted)


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


def check_delete_share(pipeline: str, sinks: Mapping[str, Difference], max_share: float, min_deletes: int) -> None:
    """
    Refuse to delete a large share of a sink: more likely the source was emptied by mistake, or is about to be reloaded.

    Args:
        pipeline: its name.
        sinks: what was found in each.
        max_share: share of the live rows of a sink that may be deleted.
        min_deletes: at most so many rows may always be deleted.

    Raises:
        TooManyDeletes: the counts of each such sink, the setting, and how to approve.
    """
    excessive = [
        f"{sink.gone:,} of {sink.live:,} rows of {name}"
        for name, sink in sinks.items()
        if sink.gone > min_deletes and sink.gone > max_share * sink.live
    ]
    if excessive:
        raise TooManyDeletes(
            f"the source has lost {' and '.join(excessive)}, more than max_delete_share ({max_share:g}) allows: "
            f"nothing was deleted. If these rows are really gone, trigger medallion_reconcile with pipeline {pipeline} "
            f"and approve_deletes (shell: reconcile {pipeline} --approve-deletes)"
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
