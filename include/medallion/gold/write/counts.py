"""Outcome of a batch in Gold, counted in the table itself."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write.files import GoldBatch, RowChanges
from include.medallion.lake import delta
from include.medallion.model.columns import BATCH_ID, DELETED_AT, TIMESTAMP_UTC, VERSION
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Window
from include.medallion.staging.files import read_staged_table

_TABLE_VERSION = f"{VERSION}.held"


def count_outcome(batch: GoldBatch, changes: RowChanges, withdrawn: int) -> Applied:
    """
    Count the batch's rows that the table holds, and those that it holds in a newer version.

    Args:
        batch: its table is at the version that the batch made, or a later one: what came between counts as newer.
        changes: what the write says it did.
        withdrawn: rows that this try has withdrawn; an earlier one that was killed may have marked more.
    """
    data = delta.dataset(batch.lake, batch.pipeline.gold_table, batch.table)
    mine, moment = pc.field(BATCH_ID) == batch.window.batch_id, pa.scalar(batch.window.opened_at, TIMESTAMP_UTC)
    marked = data.count_rows(filter=mine & (pc.field(DELETED_AT) == moment))
    applied = data.count_rows(filter=mine) - marked
    superseded = _count_superseded(batch, data) if applied < batch.rows else 0
    updated = min(changes.updated, applied)  # a newer batch may have written over some of them since
    read, superseded = batch.rows + batch.gone_keys, superseded + batch.gone_keys - changes.deleted
    withdrawn = max(withdrawn, marked - (changes.deleted if batch.pipeline.deletes == "soft" else 0))
    version, deleted = batch.table.version(), changes.deleted
    return Applied(read, applied - updated, updated, superseded, version=version, deleted=deleted, withdrawn=withdrawn)


def _count_superseded(batch: GoldBatch, data: pa.dataset.Dataset) -> int:
    names = [*batch.key, VERSION]
    unwanted = _UNWANTED.get(batch.window.mode, _is_superseded)
    held, found = data.to_table([*names, BATCH_ID, DELETED_AT]), 0
    for file in batch.files:
        mine = read_staged_table(batch.lake, file, names)
        both = mine.join(held, batch.key, join_type="left outer", right_suffix=".held")
        found += pc.sum(unwanted(both, batch.window)).as_py() or 0
    return found


def _is_superseded(both: pa.Table, window: Window) -> pa.ChunkedArray:
    """Return whether the table holds a row in a newer version, or in the same one from a newer batch."""
    newer, same = pc.greater(both[_TABLE_VERSION], both[VERSION]), pc.equal(both[_TABLE_VERSION], both[VERSION])
    return pc.or_(newer, pc.and_(same, pc.greater(both[BATCH_ID], window.batch_id)))


def _is_not_updated(both: pa.Table, window: Window) -> pa.ChunkedArray:
    """Return whether a row is gone, deleted, of another version, or renewed by a newer batch."""
    other = pc.fill_null(pc.not_equal(both[_TABLE_VERSION], both[VERSION]), fill_value=True)
    newer = pc.fill_null(pc.greater(both[BATCH_ID], window.batch_id), fill_value=False)
    return pc.or_(pc.or_(other, newer), both[DELETED_AT].is_valid())


def _is_of_newer_batch(both: pa.Table, window: Window) -> pa.ChunkedArray:
    """Return whether the table holds a row that a newer batch wrote."""
    return pc.fill_null(pc.greater(both[BATCH_ID], window.batch_id), fill_value=False)


_UNWANTED = {Mode.LOOKUPS: _is_not_updated, Mode.RELOAD: _is_of_newer_batch, Mode.ACCEPT: _is_of_newer_batch}
"""Rows of a batch that the table does not take, where it is not only those that it holds in a newer version."""
