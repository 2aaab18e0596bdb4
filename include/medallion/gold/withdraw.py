"""
Withdraw rows whose newer version is quarantined: a commit of its own, before the one that names the batch.

It is fenced and changes nothing the second time, so a kill between the two commits is completed by the next try.
"""

from __future__ import annotations

import pyarrow as pa

from include.medallion.gold.write import rewrite
from include.medallion.gold.write.files import GoldBatch
from include.medallion.gold.write.keys import merge_predicate
from include.medallion.gold.write.match import is_newer, is_newer_than_live
from include.medallion.lake import delta
from include.medallion.model.columns import BATCH_ID, DELETED_AT, TIMESTAMP_UTC, VERSION

_MARKS = (VERSION, BATCH_ID, DELETED_AT)


def withdraw(gold: GoldBatch, keys: pa.Table) -> int:
    """
    Mark rows of these keys as deleted, or remove them, unless the table holds a newer version; return how many.

    A marked row takes the version that is quarantined: an older one does not come back by a replay.

    Args:
        keys: with the version that is quarantined.

    Raises:
        CommitFailedError: another commit came first.
    """
    if not keys.num_rows or not gold.table.file_uris():
        return 0
    wins = is_newer if gold.pipeline.deletes == "hard" else is_newer_than_live
    found = rewrite.delete_rows(gold, keys, wins, _MARKS)
    found = _merge(gold, keys) if found is None else found
    gold.table.update_incremental()
    return found


def _merge(gold: GoldBatch, keys: pa.Table) -> int:
    """Withdraw by MERGE, where the table requires more of a writer, or the keys are many."""
    moment = pa.repeat(pa.scalar(gold.window.opened_at, TIMESTAMP_UTC), keys.num_rows)
    batch_id = pa.repeat(pa.scalar(gold.window.batch_id, pa.int64()), keys.num_rows)
    merge = gold.table.merge(
        keys.append_column(BATCH_ID, batch_id).append_column(DELETED_AT, moment),
        merge_predicate(gold.key, {}),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(gold.table),
        commit_properties=gold.commit,
    )
    newer = (
        f"(source.{VERSION} > target.{VERSION} OR "
        f"(source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID}))"
    )
    if gold.pipeline.deletes == "hard":
        return int(merge.when_matched_delete(newer).execute()["num_target_rows_deleted"])
    marks = {name: f"source.{name}" for name in _MARKS}
    live = f"{newer} AND target.{DELETED_AT} IS NULL"
    return int(merge.when_matched_update(marks, live).execute()["num_target_rows_updated"])
