"""What the page shows of the lake, read at one moment: the table `runs`, and how many rows are quarantined and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow.compute as pc
from deltalake import DeltaTable
from pyarrow import Table

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.quarantine import table as quarantine_table
from include.medallion.runs import table as runs_table

TIMEOUTS = {"timeout": "20s", "connect_timeout": "5s"}
"""Of one request of delta-rs: a page must not wait as long as a run may."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    What the lake held at one moment.

    Args:
        as_of: UTC.
        runs: rows of the table `runs`, by batch id, each batch once.
        quarantined: number of open entries by reason, by pipeline.
        versions: of the Delta tables that were read; None for one that does not exist yet.
    """

    as_of: datetime
    runs: Table
    quarantined: dict[str, dict[str, int]]
    versions: tuple[int | None, int | None]


def read_snapshot(lake: Lake, previous: Snapshot | None) -> Snapshot:
    """Read what the page shows; what has not changed since the previous snapshot is not read again."""
    hasty = replace(lake, options={**TIMEOUTS, **lake.options})
    runs, quarantine = (delta.open_table(hasty, name) for name in (runs_table.TABLE, quarantine_table.TABLE))
    versions = _version(runs), _version(quarantine)
    now = datetime.now(UTC)
    if previous and previous.versions == versions:
        return replace(previous, as_of=now)
    return Snapshot(now, _read_runs(hasty, runs), _read_quarantine(hasty, quarantine), versions)


def _version(table: DeltaTable | None) -> int | None:
    return table.version() if table else None


def _read_runs(lake: Lake, table: DeltaTable | None) -> Table:
    rows = delta.dataset(lake, runs_table.TABLE, table).to_table() if table else runs_table.SCHEMA.empty_table()
    return runs_table.newest_of_each(rows)


def _read_quarantine(lake: Lake, table: DeltaTable | None) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    if table is None:
        return counts
    opened = pc.field("closed_at").is_null()
    rows = delta.dataset(lake, quarantine_table.TABLE, table).to_table(columns=["pipeline", "reason"], filter=opened)
    for row in rows.group_by(["pipeline", "reason"]).aggregate([([], "count_all")]).to_pylist():
        counts[row["pipeline"]][row["reason"]] = row["count_all"]
    return counts
