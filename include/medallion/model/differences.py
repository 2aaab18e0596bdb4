"""What a reconcile found and did: counts and ids, no data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from include.medallion.errors import ContractBroken


@dataclass(frozen=True, slots=True)
class Difference:
    """What a sink had in common with the source, and what was done about the rest."""

    living: int  # rows not marked as deleted, when done
    missing: int  # rows due, but not there or marked as deleted
    older: int  # rows there in an older version than is due
    deleted: int  # rows that the source lost: now marked, or removed


@dataclass(frozen=True, slots=True)
class Report:
    """One reconcile of a pipeline, in all three places."""

    pipeline: str
    batch_id: int
    source: int  # rows that the source has
    set_aside: int  # of them with a key that no sink can hold
    silver: Difference
    gold: Difference

    def to_json(self) -> dict:
        """As XCom carries it."""
        return asdict(self)

    @property
    def lost(self) -> int:
        """Rows that a sink should hold and does not."""
        return sum(sink.missing + sink.older for sink in (self.silver, self.gold))


def combine(first: Report, second: Report) -> Report:
    """Return what the second look found, with the deletes of both."""
    sinks = {name: getattr(second, name) for name in ("silver", "gold")}
    return replace(second, **{n: replace(s, deleted=s.deleted + getattr(first, n).deleted) for n, s in sinks.items()})


def check_nothing_lost(report: Report) -> None:
    """
    Refuse a sink that lost rows.

    Raises:
        ContractBroken: which sink, how many rows, and what mends it.
    """
    sinks = (("Silver", report.silver), ("Gold", report.gold))
    problems = [
        f"{name} lacks {sink.missing:,} of the source's rows and holds {sink.older:,} in an older version"
        for name, sink in sinks
        if sink.missing or sink.older
    ]
    if problems:
        raise ContractBroken(
            f"{'; '.join(problems)}: something else wrote there. Trigger medallion_{report.pipeline} with "
            "full_refresh: it mends both sinks, and nothing cached is paid for again"
        )


def summary_line(report: Report) -> str:
    """Return the report in one readable line."""
    return (
        f"{report.pipeline} reconcile {report.batch_id}: source {report.source:,} rows, {report.set_aside:,} of them "
        f"with a key that no sink can hold; Silver {_counts(report.silver)}; Gold {_counts(report.gold)}"
    )


def _counts(sink: Difference) -> str:
    return f"{sink.living:,} living, {sink.deleted:,} deleted now, {sink.missing:,} missing, {sink.older:,} older"
