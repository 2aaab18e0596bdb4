"""
What runs leave behind, kept in bounds: small files, old versions, the archive, tables of killed tries, the ledger.

Safe at any time, twice, and killed anywhere: each step is one commit, or
deletes what is decided by names alone. Nothing is deleted that a sink does not
hold yet, or that a reconcile has not finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyarrow import fs

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.gold import sink as gold_sink
from include.medallion.lake import delta_maintenance
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.lookups import cache
from include.medallion.model.window import Position, new_batch_id
from include.medallion.silver import maintenance as silver_maintenance
from include.medallion.silver import sink as silver_sink
from include.medallion.staging import archive
from include.medallion.staging.layout import batch_folder
from include.medallion.staging.source_keys import unfinished_reconciles

if TYPE_CHECKING:
    from include.medallion.config.connections import Connections

DEFAULTS = {"MEDALLION_STAGING_DAYS": 30, "MEDALLION_VERSIONS_DAYS": 7}
ORPHAN_AGE = timedelta(days=1)
"""No try of a task is at work so long: what is older was left by a killed one."""
NEVER_EXPIRING = ("quarantine", "lookup_leases", "lookup_usage")  # their rows have no expires_at
SHARED = ("locations", *NEVER_EXPIRING)
LOOKUPS = "lookups_"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept that nothing needs any more."""

    staging: timedelta  # batches, as they were read and loaded: the archive; and the ledger's rows of them
    versions: timedelta  # of Delta tables: for readers of yesterday's


def retention(environ: Mapping[str, str]) -> Retention:
    """
    Read `MEDALLION_STAGING_DAYS` (30) and `MEDALLION_VERSIONS_DAYS` (7).

    Raises:
        SettingError: one is no number of days, or less than one day: a task at work could lose its files.
    """
    return Retention(*(timedelta(days=_days(environ, name)) for name in DEFAULTS))


def maintain(pipeline: Pipeline, connections: Connections, keep: Retention, now: datetime) -> dict:
    """Tend one pipeline's Gold table, its archive and its part of Silver; return what was done, in counts."""
    lake, before = connections.lake, new_batch_id(now - keep.staging, 0)
    table = delta_maintenance.maintain(lake, pipeline.gold.table, keep.versions, pipeline.source.key)
    with closing(connections.silver()) as connection:
        held = silver_sink.read_position(connection, pipeline)
        abandoned = new_batch_id(now - ORPHAN_AGE, 0)
        pruned = silver_maintenance.maintain(connection, pipeline, abandoned=abandoned, before=before)
    holds = [held, gold_sink.read_position(lake, pipeline, held.source if held else "")]
    batches = delete_old_batches(lake, pipeline.name, holds, before)
    return {"pipeline": pipeline.name, "gold": table and asdict(table), "batches": batches, "ledger": pruned}


def maintain_shared(lake: Lake, keep: Retention, now: datetime) -> list[dict]:
    """
    Tend the tables that all pipelines write: answers, their account and claims, quarantine; return counts.

    Answers that may not be kept any longer are deleted (Google's terms: coordinates after 30 days).
    """
    found = filesystem(lake).get_file_info(fs.FileSelector(lake.path(""), allow_not_found=True))
    names = sorted(info.base_name for info in found if info.type is fs.FileType.Directory)
    ours = [name for name in names if name in SHARED or name.startswith(LOOKUPS)]
    for name in ours:
        if name not in NEVER_EXPIRING:
            cache.purge(lake, name, now)
    tended = (delta_maintenance.maintain(lake, name, keep.versions) for name in ours)
    return [asdict(table) for table in tended if table]


def delete_old_batches(lake: Lake, pipeline: str, holds: list[Position | None], before: int) -> int:
    """
    Delete staged batches that are older than batch id `before`; return how many.

    What a sink may still need stays: every batch from the newest one on of the
    sink that is furthest behind, and every reconcile that is not finished.
    """
    if None in holds:
        return 0
    bound = min(before, *(position.batch_id for position in holds))
    kept = {keys.window.batch_id for keys in unfinished_reconciles(lake, pipeline)}
    old = [batch for batch in archive.batches(lake, pipeline) if batch < bound and batch not in kept]
    for batch in old:
        filesystem(lake).delete_dir(lake.path(batch_folder(pipeline, batch)))
    return len(old)


def summary_line(done: dict) -> str:
    """Return what was done to a pipeline in one readable line."""
    table = done["gold"]
    shape = _table_line(table) if table else "no Gold table yet"
    return f"{done['pipeline']}: {shape}; {done['batches']:,} staged batches and {done['ledger']:,} ledger rows deleted"


def _table_line(table: dict) -> str:
    how = "gave way to a writer" if table["gave_way"] else "sorted by key" if table["sorted"] else "compacted"
    return f"{table['files_before']:,} files, now {table['files']:,} ({how}), {table['deleted']:,} old ones deleted"


def _days(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name) or str(DEFAULTS[name])
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not days >= 1:
        raise SettingError(f"{name} must be a number of days, 1 or more: a task at work may need what is younger")
    return days
