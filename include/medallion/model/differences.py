"""What a reconcile found and did: counts and ids, no data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from include.medallion.errors import ContractBroken, TooManyDeletes

UNKNOWN_CAUSE = "rows are missing or different, another writer may have changed the table"


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
        repeated: keys of the source that the sink holds more than once.
        different: rows with the right version and another value, by column; of the rows whose values were compared.
    """

    live: int
    missing: int
    older: int
    gone: int = 0
    deleted: int = 0
    repeated: int = 0
    different: Mapping[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Rows that are not as in the source: 0 if there is nothing to repair."""
        return self.missing + self.older + self.repeated + sum(self.different.values())

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
    repaired: int = 0  # rows that were read again and written to the sinks
    left: dict[str, Difference] = field(default_factory=dict)  # what was still different after the repair
    cause: str = ""  # of the differences, where it is known
    verified: int = 0  # rows whose values were compared
    waiting: int = 0  # of the source's rows, those in quarantine: no sink holds them

    @property
    def lost(self) -> int:
        """Rows that a sink should hold and does not."""
        return sum(sink.missing + sink.older for sink in self.sinks.values())

    @property
    def faults(self) -> int:
        """Rows that are not as in the source."""
        return sum(sink.faults for sink in self.sinks.values())


def combine(first: Report, second: Report) -> Report:
    """Return what the second comparison found, with the deletes of both."""
    deleted = {name: first.sinks[name].deleted for name in second.sinks}
    return replace(
        second, sinks={n: replace(sink, deleted=sink.deleted + deleted[n]) for n, sink in second.sinks.items()}
    )


def check_nothing_lost(report: Report) -> None:
    """
    Refuse a sink whose rows are not as in the source, unless they were repaired.

    Raises:
        ContractBroken: which sink, how many rows, the cause and the fix.
    """
    problems = describe_faults(report.left or report.sinks)
    if problems:
        raise ContractBroken(
            f"{problems}: {report.cause or UNKNOWN_CAUSE}. Reconcile {report.pipeline} with repair: all, or trigger "
            f"medallion_{report.pipeline} with full_refresh; cached look-ups are not billed again"
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """
    What a comparison of values found.

    Args:
        rows: of the source, compared in this pass over the table.
        different: rows that differ, by sink and column.
        left: of them, those that still differ after a repair.
        repaired: rows that were read again.
        finished: whether all rows of the table have been compared in this pass.
    """

    rows: int = 0
    different: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    repaired: int = 0
    finished: bool = False


def with_values(report: Report, verified: Verified) -> Report:
    """Return a report with what a comparison of values found."""
    left = report.left or report.sinks
    return replace(
        report,
        sinks={n: replace(sink, different=dict(verified.different.get(n, {}))) for n, sink in report.sinks.items()},
        left={n: replace(sink, different=dict(verified.left.get(n, {}))) for n, sink in left.items()},
        repaired=report.repaired + verified.repaired,
        verified=verified.rows,
    )


def add_counts(
    some: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Return the sums of counts by sink and column."""
    return {name: dict(Counter(some.get(name, {})) + Counter(more.get(name, {}))) for name in {*some, *more}}


def describe_faults(sinks: Mapping[str, Difference]) -> str:
    """Return in words which rows of which sinks are not as in the source; nothing if all are."""
    return "; ".join(f"{name} {_faults(sink)}" for name, sink in sinks.items() if sink.faults)


def _faults(sink: Difference) -> str:
    words = f"lacks {sink.missing:,} of the source's rows and holds {sink.older:,} in an older version"
    words += f", {sink.repeated:,} keys more than once" if sink.repeated else ""
    columns = ", ".join(f"{column} in {count:,} rows" for column, count in sorted(sink.different.items()))
    return words + (f", other values of {columns}" if columns else "")


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
            f"and approve_deletes (shell: reconcile {pipeline} --approve-deletes)",
            approval={"approve_deletes": max(sink.gone for sink in sinks.values())},
        )


def summary_line(report: Report) -> str:
    """Return the report in one readable line."""
    sinks = "; ".join(f"{name} {_counts(sink)}" for name, sink in report.sinks.items())
    repaired = f"; values of {report.verified:,} rows compared" if report.verified else ""
    repaired += f"; {report.repaired:,} rows repaired" if report.repaired else ""
    waiting = f", {report.waiting:,} in quarantine" if report.waiting else ""
    return (
        f"{report.pipeline} reconcile {report.batch_id}: source {report.source:,} rows, {report.unloadable:,} of them "
        f"with a key that no sink can hold{waiting}; {sinks}{repaired}"
    )


def _counts(sink: Difference) -> str:
    counts = f"{sink.live:,} live, {sink.deleted:,} deleted now, {sink.missing:,} missing, {sink.older:,} older"
    more = f", {sink.repeated:,} repeated" if sink.repeated else ""
    columns = ", ".join(f"{column} in {count:,} rows" for column, count in sorted(sink.different.items()))
    return counts + more + (f", other values of {columns}" if columns else "")
