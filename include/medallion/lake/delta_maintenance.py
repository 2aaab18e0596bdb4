"""
One Delta table kept in shape: its files laid out anew, what no version needs deleted, its log kept short.

Every step is one commit or none, so a kill leaves the table as it was or as it
shall be; what is in shape already is left alone. A writer that is at work at
the same time wins: a commit of ours that conflicts with its own is given up,
and the next maintenance tries again. The log keeps the batches it names, and
statistics of the same columns only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from pyarrow import fs

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, filesystem, read_json

MAX_OVERLAP = 4.0
"""Files that a key may be in, on average, before a table is sorted anew: a merge reads so many for each."""
MAX_SORT_BYTES = 1 << 30
"""Bytes of data files that one task can sort: it takes half as much again of memory (docs/scaling.md)."""
COMMITS_PER_CHECKPOINT = 20
"""Commits that a reader may have to read one by one, before a checkpoint sums them up."""


@dataclass(frozen=True, slots=True)
class TableMaintenance:
    """What became of a table."""

    table: str
    files_before: int
    files: int
    sorted: bool  # by key; else small files were joined
    gave_way: bool  # to a writer
    deleted: int  # files that no kept version needs
    checkpoint: bool


def maintain(lake: Lake, name: str, keep: timedelta, key: Sequence[str] = ()) -> TableMaintenance | None:
    """
    Lay a table's files out anew, delete those that no version of the last `keep` needs, and sum its log up.

    Args:
        keep: at least as long as any reader or writer is at work on the table.
        key: columns to sort by, if their bounds are in the log.
    """
    table = delta.open_table(lake, name)
    if table is None:
        return None
    before = len(table.file_uris())
    by_key = _bytes(table) <= MAX_SORT_BYTES and overlap(table, key) > MAX_OVERLAP
    gave_way = not _optimize(table, key if by_key else ())
    deleted = _vacuum(lake, name, table, keep)
    checkpoint = _checkpoint(lake, name, table)
    return TableMaintenance(
        name, before, len(table.file_uris()), by_key and not gave_way, gave_way, deleted, checkpoint
    )


def overlap(table: DeltaTable, key: Sequence[str]) -> float:
    """Return in how many files a key's value can be, on average over the files; 0 if the log has no bounds of it."""
    files = pa.table(table.get_add_actions(flatten=True))
    if not key or not files.num_rows or f"min.{key[0]}" not in files.column_names:
        return 0.0
    least, most = files[f"min.{key[0]}"].to_pylist(), files[f"max.{key[0]}"].to_pylist()
    if None in least or None in most:
        return 0.0
    starts, ends = sorted(least), sorted(most)
    return sum(bisect_right(starts, k) - bisect_left(ends, k) for k in least) / len(least)


def _bytes(table: DeltaTable) -> int:
    return sum(pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist())


def _optimize(table: DeltaTable, key: Sequence[str]) -> bool:
    """Sort by key, or else join small files; tell whether no writer was in the way."""
    how = {"target_size": delta.TARGET_FILE_BYTES, "writer_properties": delta.writer_properties(table)}
    try:
        if key:
            table.optimize.z_order(list(key), **how)
        else:
            table.optimize.compact(**how)
    except CommitFailedError:
        table.update_incremental()
        return False
    return True


def _vacuum(lake: Lake, name: str, table: DeltaTable, keep: timedelta) -> int:
    """Delete files, also those that a killed writer left and no commit names; return how many there were."""
    hours = int(keep.total_seconds() // 3600)
    doomed = set(table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)) & _present(lake, name)
    if not doomed:  # else each vacuum would leave two commits of its own
        return 0
    table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
    return len(doomed)


def _present(lake: Lake, name: str) -> set[str]:
    root = lake.path(name)
    found = filesystem(lake).get_file_info(fs.FileSelector(root, recursive=True))
    return {info.path[len(root) + 1 :] for info in found if info.type is fs.FileType.File}


def _checkpoint(lake: Lake, name: str, table: DeltaTable) -> bool:
    """Write a checkpoint if the last one is old, then delete log entries that are older than the table keeps them."""
    due = table.version() - _last_checkpoint(lake, name) >= COMMITS_PER_CHECKPOINT
    if due:
        table.create_checkpoint()
    table.cleanup_metadata()
    return due


def _last_checkpoint(lake: Lake, name: str) -> int:
    try:
        return read_json(lake, f"{name}/_delta_log/_last_checkpoint")["version"]
    except FileNotFoundError:
        return 0


def summary_line(done: TableMaintenance) -> str:
    """Return what was done to a table in one readable line."""
    how = "gave way to a writer" if done.gave_way else "sorted by key" if done.sorted else "compacted"
    return f"{done.files_before:,} files, now {done.files:,} ({how}), {done.deleted:,} old ones deleted"
