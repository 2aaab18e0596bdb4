"""A large batch with deletes by MERGE, which needs no memory for the batch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write.files import GoldBatch, RowChanges
from include.medallion.gold.write.keys import merge_predicate
from include.medallion.gold.write.match import gone_rows
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake import delta
from include.medallion.model.columns import BATCH_ID, DELETED_AT, LOADED_AT, VERSION, quote_identifier

_GONE = "_gone.source"  # no column of a table is called so


def merge_with_deletes(batch: GoldBatch) -> RowChanges:
    """Write rows as MERGE does, and mark or remove those that the source no longer has; return how many."""
    schema = batch.schema.append(pa.field(_GONE, pa.bool_()))
    rows = pa.RecordBatchReader.from_batches(
        schema, chain(_flagged(batch, schema, gone=False), _flagged(batch, schema, gone=True))
    )
    merge = batch.table.merge(
        rows,
        merge_predicate(batch.key, {}),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(batch.table),
        commit_properties=batch.commit,
    )
    gone = f"source.{quote_identifier(_GONE)}"
    fence = (
        f"(source.{VERSION} > target.{VERSION} OR "
        f"(source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID}))"
    )
    every = _assignments(batch.schema.names)
    merge = merge.when_matched_update(every, f"NOT {gone} AND {fence}").when_not_matched_insert(every, f"NOT {gone}")
    if batch.pipeline.deletes == "hard":
        done = merge.when_matched_delete(f"{gone} AND {fence}").execute()
        return RowChanges(int(done["num_target_rows_updated"]), int(done["num_target_rows_deleted"]))
    marks = _assignments([VERSION, BATCH_ID, LOADED_AT, DELETED_AT])
    before = _count_marked(batch)
    done = merge.when_matched_update(marks, f"{gone} AND {fence} AND target.{DELETED_AT} IS NULL").execute()
    batch.table.update_incremental()
    marked = _count_marked(batch) - before
    return RowChanges(int(done["num_target_rows_updated"]) - marked, marked)


def _assignments(names: list[str]) -> dict[str, str]:
    return {quote_identifier(name): f"source.{quote_identifier(name)}" for name in names}


def _flagged(batch: GoldBatch, schema: pa.Schema, *, gone: bool) -> Iterator[pa.RecordBatch]:
    for rows in gone_rows(batch) if gone else interleave_parts(batch):
        flags = pa.repeat(pa.scalar(gone), rows.num_rows)
        yield pa.RecordBatch.from_arrays([*rows.columns, flags], schema=schema)


def _count_marked(batch: GoldBatch) -> int:
    """Count the rows that this batch has marked."""
    data = delta.dataset(batch.lake, batch.pipeline.gold_table, batch.table)
    marked = (pc.field(BATCH_ID) == batch.window.batch_id) & pc.field(DELETED_AT).is_valid()
    return int(data.count_rows(filter=marked))
