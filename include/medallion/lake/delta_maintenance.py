"""
Maintain one Delta table: compact or sort its files, vacuum, and checkpoint its log.

Every step is one commit or none, so a kill leaves the table in its old or its
new state. A table that needs nothing is not changed. A concurrent writer wins:
the maintenance commit that conflicts with it is abandoned, and the next
maintenance tries again. The log keeps the positions of the applied batches, and
statistics of the same columns only.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from pyarrow import fs

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, filesystem, read_bytes

MAX_OVERLAP = 4.0
"""Number of files whose range contains a key, on average, above which the table is sorted: a merge reads them all."""
MAX_SORT_BYTES = 1 << 30
"""Bytes of data files that one task sorts; it needs about 1.5 times as much memory (docs/scaling.md)."""


@dataclass(frozen=True, slots=True)
class TableMaintenance:
    """What maintenance did to one table."""

    table: str
    files_before: int
    files: int
    sorted: bool  # by key; otherwise small files were compacted
    gave_way: bool  # a concurrent writer won
    deleted: int  # files that no retained version needs
    checkpoint: bool


def maintain(lake: Lake, name: str, keep: timedelta, key: Sequence[str] = ()) -> TableMaintenance | None:
    """
    Compact or sort a table's files, vacuum it, and checkpoint its log.

    Args:
        name: the table's path below the lake's root.
        keep: retention of old versions; at least as long as any reader or writer uses the table.
        key: columns to sort by, if the log has their statistics.

    Returns:
        What was done, or None if there is no such table.
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
    """
    Return the number of files whose range contains a key, averaged over the files.

    Returns:
        0 if the log has no statistics of the key's first column.
    """
    files = pa.table(table.get_add_actions(flatten=True))
    if not key or not files.num_rows or f"min.{key[0]}" not in files.column_names:
        return 0.0
    minima, maxima = files[f"min.{key[0]}"].to_pylist(), files[f"max.{key[0]}"].to_pylist()
    if None in minima or None in maxima:
        return 0.0
    starts, ends = sorted(minima), sorted(maxima)
    return sum(bisect_right(starts, k) - bisect_left(ends, k) for k in minima) / len(minima)


def _bytes(table: DeltaTable) -> int:
    return sum(pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist())


def _optimize(table: DeltaTable, key: Sequence[str]) -> bool:
    """Sort by key, or compact small files without one; return False if a concurrent writer won."""
    size, encoding = delta.TARGET_FILE_BYTES, delta.writer_properties(table)
    try:
        if key:
            table.optimize.z_order(list(key), target_size=size, writer_properties=encoding)
        else:
            table.optimize.compact(target_size=size, writer_properties=encoding)
    except CommitFailedError:
        table.update_incremental()
        return False
    return True


def _vacuum(lake: Lake, name: str, table: DeltaTable, keep: timedelta) -> int:
    """Delete unneeded files, including those of killed writers that no commit names; return how many."""
    hours = int(keep.total_seconds() // 3600)
    listed = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    unneeded = set(listed) & _existing_files(lake, name)
    if not unneeded:  # a vacuum writes two commits even if it deletes nothing
        return 0
    table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
    return len(unneeded)


def _existing_files(lake: Lake, name: str) -> set[str]:
    root = lake.path(name)
    found = filesystem(lake).get_file_info(fs.FileSelector(root, recursive=True))
    return {info.path[len(root) + 1 :] for info in found if info.type is fs.FileType.File}


def _checkpoint(lake: Lake, name: str, table: DeltaTable) -> bool:
    """Write a checkpoint if one is due, then delete log entries older than the table's log retention."""
    due = table.version() - _last_checkpoint(lake, name) >= delta.COMMITS_PER_CHECKPOINT
    if due:
        table.create_checkpoint()
    table.cleanup_metadata()
    return due


def _last_checkpoint(lake: Lake, name: str) -> int:
    try:
        return int(json.loads(read_bytes(lake, f"{name}/_delta_log/_last_checkpoint"))["version"])
    except FileNotFoundError:
        return 0


def summary_line(done: TableMaintenance) -> str:
    """Return what was done to a table in one readable line."""
    how = "gave way to a writer" if done.gave_way else "sorted by key" if done.sorted else "compacted"
    return f"{done.files_before:,} files, now {done.files:,} ({how}), {done.deleted:,} old ones deleted"
