"""
Housekeeping: compaction, vacuum, retention of staged batches, ledger pruning.

Safe at any time, twice, and killed anywhere: each step is one commit, or deletes what is decided by names alone.
Nothing is deleted that a sink does not hold yet, or that a reconcile has not finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pyarrow import fs

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.lake import delta_maintenance
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.lookups import cache, leases, usage_ledger
from include.medallion.model.retention import Retention
from include.medallion.model.window import Position
from include.medallion.quarantine import table as quarantine_table
from include.medallion.runs import table as runs_table
from include.medallion.staging.archive import batch_ids
from include.medallion.staging.layout import batch_folder
from include.medallion.staging.records.source_keys import unfinished_reconciles
from include.medallion.steps.log.slots import drop_unneeded_slots
from include.medallion.steps.schema.removal import remove_old_values
from include.medallion.steps.sinks import open_sinks

DEFAULTS = {"MEDALLION_STAGING_DAYS": 30, "MEDALLION_VERSIONS_DAYS": 7, "MEDALLION_RUNS_DAYS": 90}
NEVER_EXPIRING = (quarantine_table.TABLE, leases.TABLE, usage_ledger.TABLE, runs_table.TABLE)
CACHES = ("locations", "lookups_")
"""Names of cache tables, or how they begin."""


def retention(environ: Mapping[str, str], now: datetime) -> Retention:
    """
    Read `MEDALLION_STAGING_DAYS` (30), `MEDALLION_VERSIONS_DAYS` (7) and `MEDALLION_RUNS_DAYS` (90).

    Raises:
        SettingError: one is no number of days, or less than one day: a running task could lose its files.
    """
    return Retention(now, *(timedelta(days=_days(environ, name)) for name in DEFAULTS))


def maintain(pipeline: Pipeline, connections: Connections, keep: Retention, *, paused: bool = False) -> str:
    """
    Maintain one pipeline's sinks, its staged batches and its replication slot.

    Args:
        paused: the pipeline does not run; its slot is dropped.

    Returns:
        What was done, in one line of counts.
    """
    sinks = open_sinks(pipeline, connections)
    done = [f"{sink.name}: {sink.maintain(keep)}" for sink in sinks]
    source = next((p.source for p in (sink.position("") for sink in sinks) if p), "")
    positions = [sink.position(source) for sink in sinks]
    if all(positions):
        remove_old_values(connections.lake, pipeline.name, min(p.batch_id for p in positions if p))
    deleted = delete_old_batches(connections.lake, pipeline.name, positions, keep.oldest_batch)
    slots = drop_unneeded_slots(pipeline, connections, paused=paused)
    dropped = f"; {len(slots):,} replication slots dropped" if slots else ""
    return f"{pipeline.name}: {'; '.join(done)}; {deleted:,} staged batches deleted{dropped}"


def maintain_shared(lake: Lake, keep: Retention) -> list[str]:
    """
    Maintain the tables that all pipelines share: look-up results, usage, leases, the quarantine and recorded runs.

    Results that may not be kept any longer are deleted (Google's terms: coordinates after 30 days).

    Returns:
        What was done, one line of counts for each table.
    """
    found = filesystem(lake).get_file_info(fs.FileSelector(lake.path(""), allow_not_found=True))
    names = sorted(info.base_name for info in found if info.type is fs.FileType.Directory)
    caches = [name for name in names if name.startswith(CACHES) and name not in NEVER_EXPIRING]
    for name in caches:
        cache.purge(lake, name, keep.now)
    runs_table.remove_old(lake, keep.now - keep.runs)
    ours = [*caches, *(name for name in names if name in NEVER_EXPIRING)]
    tables = (delta_maintenance.maintain(lake, name, keep.versions) for name in ours)
    return [f"{table.table}: {delta_maintenance.summary_line(table)}" for table in tables if table]


def delete_old_batches(lake: Lake, pipeline: str, positions: list[Position | None], before: int) -> int:
    """
    Delete staged batches that are older than batch id `before`.

    What a sink may still need stays: every batch from the newest one on of the sink that is furthest behind, and every
    reconcile that is not finished.

    Returns:
        How many batches were deleted.
    """
    held = [position for position in positions if position]
    if len(held) < len(positions):
        return 0
    bound = min(before, *(position.batch_id for position in held))
    kept = {keys.window.batch_id for keys in unfinished_reconciles(lake, pipeline)}
    old = [batch for batch in batch_ids(lake, pipeline) if batch < bound and batch not in kept]
    for batch in old:
        filesystem(lake).delete_dir(lake.path(batch_folder(pipeline, batch)))
    return len(old)


def _days(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name) or str(DEFAULTS[name])
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not days >= 1:
        raise SettingError(f"{name} must be a number of days, 1 or more: a running task may need what is younger")
    return days
