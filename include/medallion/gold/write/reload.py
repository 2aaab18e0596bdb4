"""
Write chosen rows over whatever the table has under their keys, once each: a reload, or a repair.

Versions do not decide here: what the table holds may be wrong in any way, or of another source. Only rows that a newer
batch wrote stay. A key that is there twice is there once afterwards.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write import match as gold_match
from include.medallion.gold.write import rewrite
from include.medallion.gold.write.files import GoldBatch, RowChanges
from include.medallion.gold.write.keys import key_ranges, merge_predicate
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake import delta
from include.medallion.model.columns import BATCH_ID
from include.medallion.model.keys import composite_key


def replace_rows(batch: GoldBatch) -> RowChanges | None:
    """
    Remove the rows of the batch's keys and write the batch's, in one commit.

    Returns:
        The number of keys that were there; None, with nothing done, as `rewrite.upsert`.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    if not rewrite.fits_in_memory(batch):
        return None
    rows = gold_match.read_batch_rows(batch, gold_match.is_replaceable, batch.schema.names)
    changes = rewrite.remove_matches(rows)
    written, there = np.ones(rows.table.num_rows, bool), np.zeros(rows.table.num_rows, bool)
    for change in changes:
        written[change.kept.to_numpy()] = False
        there[change.found.to_numpy()] = True
    added = rewrite.write_some(rows, pa.array(written))
    rewrite.commit_changes(batch, changes, added)
    return RowChanges(int(np.count_nonzero(written & there)))


def merge_rows(batch: GoldBatch) -> RowChanges:
    """
    Write the rows by MERGE, where the table requires more of a writer, or the batch is large.

    Keys that are there twice are removed by a commit of their own first: MERGE would write over both rows.

    Returns:
        The number of keys that were there.
    """
    _delete_repeated(batch)
    fence = f"target.{BATCH_ID} IS NULL OR source.{BATCH_ID} >= target.{BATCH_ID}"
    merge = batch.table.merge(
        interleave_parts(batch),
        merge_predicate(batch.key, key_ranges(batch)),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(batch.table),
        commit_properties=batch.commit,
    )
    metrics = merge.when_matched_update_all(fence).when_not_matched_insert_all().execute()
    return RowChanges(int(metrics["num_target_rows_updated"]))


def _delete_repeated(batch: GoldBatch) -> None:
    """Remove the rows of keys of the batch that the table has more than once."""
    wanted = pa.concat_tables(
        [pa.table(rows.select(batch.key)) for rows in interleave_parts(batch)]
        or [pa.schema([batch.schema.field(name) for name in batch.key]).empty_table()]
    )
    held = delta.dataset(batch.lake, batch.pipeline.gold_table, batch.table).to_table(batch.key)
    mine = held.filter(pc.is_in(composite_key(held.columns), value_set=composite_key(wanted.columns)))
    counts = mine.group_by(batch.key).aggregate([([], "count_all")])
    repeated = counts.filter(pc.greater(counts["count_all"], 1)).select(batch.key)
    if not repeated.num_rows:
        return
    merge = batch.table.merge(
        repeated,
        merge_predicate(batch.key, {}),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(batch.table),
        commit_properties=batch.commit,
    )
    merge.when_matched_delete(f"target.{BATCH_ID} IS NULL OR target.{BATCH_ID} <= {batch.window.batch_id}").execute()
    batch.table.update_incremental()
