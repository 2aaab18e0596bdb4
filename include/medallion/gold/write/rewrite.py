"""
Merge a batch into rows that the table has: files that hold them are rewritten, with all rows in the same order.

The result equals that of delta-rs's MERGE. MERGE, however, distributes all rows of the files that it touches over new
files: each holds keys of the whole table, and every later batch has to rewrite all of them. Here a file keeps its range
of keys and its row groups (docs/adr/0020). A file that is written and then not committed (a lost race, a kill) is in no
version of the table; vacuum removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction, RemoveAction

from include.medallion.gold.write import match as gold_match
from include.medallion.gold.write.changed import changed_columns, compared_columns
from include.medallion.gold.write.files import GoldBatch, RowChanges, can_add_files, write_file, write_rows
from include.medallion.gold.write.match import BatchRows, CandidateFile, RowMatches, WinRule, conform
from include.medallion.lake.parquet import RowGroup, Writer
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lake.parquet_files import read_row_groups
from include.medallion.model.columns import BATCH_ID, LOADED_AT

MAX_BATCH_BYTES = 32 << 20  # of staged files; their rows take a few times as much
RewrittenGroup = tuple[RowGroup, frozenset[str], pa.RecordBatch]
"""A row group of the old file, its columns that are copied as they are encoded, and the columns to encode."""
RewriteRule = Callable[[BatchRows, RowGroup, pa.Array, frozenset[str]], RewrittenGroup]
"""Rewrites a row group, given for each of its rows the batch's row that replaces it, if any, and what can be copied."""


def upsert(batch: GoldBatch) -> RowChanges | None:
    """
    Replace older versions of rows, or the same version of an older batch, and write new rows to a file of their own.

    Rows that the source no longer has are marked or removed, as `deletes` of the pipeline says.

    Returns:
        The number of rows; no commit is made if nothing changes. None, with nothing done, if the batch is
        larger than MAX_BATCH_BYTES, or if the table has other columns or needs a writer with more features.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    if not fits_in_memory(batch):
        return None
    rows = gold_match.read_batch_rows(batch, gold_match.is_newer, batch.schema.names)
    changes = _rewrite_files(rows, _replace_or_remove if batch.pipeline.deletes == "hard" else _replace_rows)
    return commit_changes(batch, changes, _write_new_rows(rows, changes))


def update_lookups(batch: GoldBatch) -> RowChanges | None:
    """Write look-up results to live rows whose version is that of the batch; returns and raises as `upsert`."""
    if not fits_in_memory(batch):
        return None
    rows = gold_match.read_batch_rows(batch, gold_match.is_live, (*batch.pipeline.added_columns, BATCH_ID, LOADED_AT))
    return commit_changes(batch, _rewrite_files(rows, _replace_rows), [])


def delete_rows(batch: GoldBatch, keys: pa.Table, wins: WinRule, columns: Collection[str]) -> int | None:
    """
    Mark rows as deleted, or remove them, as `deletes` of the pipeline says.

    Args:
        keys: of the rows, with the version that a row held is compared with.
        wins: which rows are deleted.
        columns: of the system, that a marked row takes.

    Returns:
        The number of rows, or None, as `upsert`; it raises as that does.
    """
    if keys.nbytes > MAX_BATCH_BYTES or not _is_plain_table(batch):
        return None
    how = _remove_rows if batch.pipeline.deletes == "hard" else _replace_rows
    return commit_changes(batch, _rewrite_files(gold_match.tombstones(batch, keys, wins, columns), how), []).updated


def remove_matches(rows: BatchRows) -> list[FileChange]:
    """Rewrite the files that hold rows which those of a batch replace, without them."""
    return _rewrite_files(rows, _remove_rows)


@dataclass(frozen=True)
class FileChange:
    """What a batch changes in one file."""

    found: pa.Array  # rows of the batch whose key is in the file, newer there or not
    kept: pa.Array  # those of them that do not replace the row there
    rows: RowChanges
    actions: list[AddAction | RemoveAction]


def fits_in_memory(batch: GoldBatch) -> bool:
    """Return whether memory holds the batch, and the table is plain."""
    return sum(file.info.size for file in batch.files) <= MAX_BATCH_BYTES and _is_plain_table(batch)


def _is_plain_table(batch: GoldBatch) -> bool:
    """Return whether any file may be added to the table, and no file has a name that has to be quoted."""
    named = pa.table(batch.table.get_add_actions())["path"].to_pylist()
    return can_add_files(batch) and all(quote(name) == name for name in named)


def _rewrite_files(rows: BatchRows, how: RewriteRule) -> list[FileChange]:
    """Write one file after the other: two at a time are a tenth faster on two cores, and take 90 MB more."""
    return [_rewrite_file(rows, how, file) for file in gold_match.candidate_files(rows)]


def _rewrite_file(rows: BatchRows, how: RewriteRule, file: CandidateFile) -> FileChange:
    """Rewrite a file if the batch changes rows in it; a file without any row left is removed."""
    places = gold_match.match_rows(rows, file)
    found, changed = places.found.drop_null(), places.updated
    kept = places.found.filter(places.over.is_null()).drop_null()
    if not changed:
        return FileChange(found, kept, RowChanges(), [])
    gone = int(pc.sum(pc.greater_equal(places.over, rows.first_gone)).as_py() or 0)
    emptied = len(places.over) == (changed if how is _remove_rows else gone if how is _replace_or_remove else 0)
    added = [] if emptied else [write_file(rows.batch, partial(_write_rewritten, rows, how, file, places))]
    now = int(datetime.now(UTC).timestamp() * 1000)
    actions: list[AddAction | RemoveAction] = [*added, RemoveAction(file.name, True, now, file.size, {})]
    return FileChange(found, kept, RowChanges(changed - gone, gone), actions)


def _write_new_rows(rows: BatchRows, changes: list[FileChange]) -> list[AddAction]:
    """Write the rows whose key no file holds into a file of their own, if there are any."""
    new = np.arange(rows.table.num_rows) < rows.first_gone
    for change in changes:
        new[change.found.to_numpy()] = False
    return write_some(rows, pa.array(new))


def write_some(rows: BatchRows, chosen: pa.Array) -> list[AddAction]:
    """Write the chosen rows (bool array) of a batch into a file of their own, if there are any."""
    some = rows.table.filter(chosen)
    return [write_rows(rows.batch, [some])] if some.num_rows else []


def _write_rewritten(rows: BatchRows, how: RewriteRule, file: CandidateFile, places: RowMatches, out: Writer) -> None:
    """Write a file with rows of the batch in place of those that they are written over, or without these."""
    for group in prefetch(_rewrite_groups(rows, how, file, places, out)):
        out.write_row_group(*group)


def _rewrite_groups(
    rows: BatchRows, how: RewriteRule, file: CandidateFile, places: RowMatches, out: Writer
) -> Iterator[RewrittenGroup]:
    start = 0
    for group in read_row_groups(rows.batch.lake, rows.batch.path(file.name)):
        over, copyable = places.over.slice(start, group.rows), out.copyable_columns(group)
        start += group.rows
        yield how(rows, group, over, copyable) if over.null_count < len(over) else _copy_group(rows, group, copyable)


def _copy_group(rows: BatchRows, group: RowGroup, copyable: frozenset[str]) -> RewrittenGroup:
    """Encode only the columns that the table has and the file has not, or not as the table has them."""
    others = pa.schema([field for field in rows.batch.schema if field.name not in copyable])
    return group, copyable, conform(group.read(others.names), others)


def _replace_rows(rows: BatchRows, group: RowGroup, over: pa.Array, copyable: frozenset[str]) -> RewrittenGroup:
    """Replace rows by those of the batch; columns in which these are identical are copied as they are encoded."""
    compared = compared_columns(rows, over)
    old = group.read_dictionaries([n for n in rows.batch.schema.names if n in compared or n not in copyable])
    taken = changed_columns(rows, old, over)
    copied = copyable - taken.keys()
    others = pa.schema([field for field in rows.batch.schema if field.name not in copied])
    kept = conform(old, pa.schema([field for field in others if field.name not in taken]))
    arrays = [taken[name] if name in taken else kept.column(name) for name in others.names]
    return group, copied, pa.RecordBatch.from_arrays(arrays, schema=others)


def _replace_or_remove(rows: BatchRows, group: RowGroup, over: pa.Array, copyable: frozenset[str]) -> RewrittenGroup:
    """Replace rows as `_replace_rows` does, and remove those that the source no longer has."""
    gone = pc.fill_null(pc.greater_equal(over, rows.first_gone), fill_value=False)
    if not pc.any(gone).as_py():
        return _replace_rows(rows, group, over, copyable)
    _, copied, replaced = _replace_rows(rows, group, over, frozenset())
    return group, copied, replaced.filter(pc.invert(gone))


def _remove_rows(rows: BatchRows, group: RowGroup, over: pa.Array, _: frozenset[str]) -> RewrittenGroup:
    """Remove rows; what is left is encoded."""
    left = conform(group.read(rows.batch.schema.names), rows.batch.schema).filter(over.is_null())
    return group, frozenset(), left


def commit_changes(batch: GoldBatch, changes: list[FileChange], inserted: list[AddAction]) -> RowChanges:
    """Commit what a batch changes in files, and files that it adds; return how many rows were changed."""
    actions = [action for change in changes for action in change.actions] + inserted
    if actions:
        batch.write(actions)
    return RowChanges(sum(change.rows.updated for change in changes), sum(change.rows.deleted for change in changes))
