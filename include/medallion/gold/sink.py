"""
The Delta sink: one conditional commit per batch, fenced by version, that names the batch in the log.

Three transaction lines of the Delta protocol
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers)
say what the table holds: the newest batch, the newest batch of this source, and
the transaction id up to which it holds the source. delta-rs records them but
lets a replay through, so they are read before every commit; two writers of the
same line conflict, and the second looks again.
"""

from __future__ import annotations

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.table import TableMerger

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold import rewrite as gold_rewrite
from include.medallion.gold.append import copy_staged_files, write_per_chunk
from include.medallion.gold.counts import count_outcome
from include.medallion.gold.files import GoldBatch
from include.medallion.gold.keys import check_unique, is_append_only, merge_predicate, stat_columns
from include.medallion.gold.rows import interleave_parts
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import (
    BATCH_ID,
    DELETED_AT,
    LOADED_AT,
    SYSTEM_COLUMNS,
    VERSION,
    Column,
    check_names,
    quote_identifier,
)
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Position, Window, is_applied
from include.medallion.staging.layout import ENRICHED
from include.medallion.staging.parts import Part, staged_columns

SINK = "Gold"


def read_position(lake: Lake, pipeline: Pipeline, source: str) -> Position | None:
    """Return what the table holds: None for nothing, or a position of another source if it was filled from one."""
    table = delta.open_table(lake, pipeline.gold.table)
    return position(table, pipeline, source) if table else None


def apply_batch(lake: Lake, pipeline: Pipeline, window: Window, parts: list[Part]) -> Applied:
    """
    Apply the enriched parts of a batch to the Delta table; make the table and its columns if need be.

    Args:
        parts: at least one, with the rows that each enriched part holds.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `window.holds`; or a key is in the batch twice.
    """
    columns = staged_columns(lake, window, ENRICHED, parts[0])
    check_names([*columns, *SYSTEM_COLUMNS])
    check_unique(lake, pipeline, window, parts)
    return delta.retry_on_conflict(lambda: _try_apply(lake, pipeline, columns, window, parts))


def gold_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the Gold table."""
    return pa.schema([(c.name, c.type) for c in (*columns, *SYSTEM_COLUMNS)])


def _try_apply(
    lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], window: Window, parts: list[Part]
) -> Applied:
    table = delta.open_or_create(
        lake,
        pipeline.gold.table,
        gold_schema(columns),
        statistics=[*stat_columns(pipeline, columns), VERSION, BATCH_ID],
    )
    rows = sum(p.rows for p in parts)
    if is_applied(SINK, position(table, pipeline, window.source), window):
        return Applied.replay(rows, table.version())
    source, commit = interleave_parts(lake, gold_schema(columns), window, parts), commit_properties(pipeline, window)
    batch = GoldBatch(lake, table, pipeline, gold_schema(columns), window, parts, commit)
    if window.mode is Mode.REFRESH:
        filed = copy_staged_files(batch) or write_per_chunk(batch)
        updated = 0 if filed else _write_deltalake(table, source, commit, mode="overwrite", schema_mode="overwrite")
    elif window.mode is Mode.LOOKUPS:
        updated = gold_rewrite.update_lookups(batch)
        if updated is None:
            updated = _merge_lookups(
                _merger(table, source, commit, merge_predicate(lake, pipeline, columns, window, parts)), pipeline
            )
    elif is_append_only(lake, table, pipeline, columns, window, parts):
        filed = copy_staged_files(batch) or write_per_chunk(batch)
        updated = 0 if filed else _write_deltalake(table, source, commit, mode="append", schema_mode="merge")
    elif (updated := gold_rewrite.upsert(batch)) is None:
        updated = _merge_rows(_merger(table, source, commit, merge_predicate(lake, pipeline, columns, window, parts)))
    _record_batch(table, columns, window, commit)
    return count_outcome(lake, pipeline, table, window, parts, updated)


def _write_deltalake(
    table: DeltaTable, source: pa.RecordBatchReader, commit: CommitProperties, mode: str, schema_mode: str
) -> int:
    write_deltalake(
        table,
        source,
        mode=mode,
        schema_mode=schema_mode,
        target_file_size=delta.TARGET_FILE_BYTES,
        writer_properties=delta.writer_properties(table),
        commit_properties=commit,
    )
    return 0


def _merger(table: DeltaTable, source: pa.RecordBatchReader, commit: CommitProperties, predicate: str) -> TableMerger:
    return table.merge(
        source,
        predicate,
        source_alias="source",
        target_alias="target",
        merge_schema=True,
        writer_properties=delta.writer_properties(table),
        commit_properties=commit,
    )


def _merge_rows(merger: TableMerger) -> int:
    """Write rows over older versions, or over the same version of an older batch; return how many."""
    fence = (
        f"source.{VERSION} > target.{VERSION} OR "
        f"(source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID})"
    )
    metrics = merger.when_matched_update_all(fence).when_not_matched_insert_all().execute()
    return metrics["num_target_rows_updated"]


def _merge_lookups(merger: TableMerger, pipeline: Pipeline) -> int:
    """Write new answers to living rows that are there in just this version; return how many."""
    fence = (
        f"source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID} "
        f"AND target.{DELETED_AT} IS NULL"
    )
    renewals = {
        quote_identifier(c): f"source.{quote_identifier(c)}" for c in (*pipeline.added_columns, BATCH_ID, LOADED_AT)
    }
    return merger.when_matched_update(renewals, fence).execute()["num_target_rows_updated"]


def _record_batch(table: DeltaTable, columns: tuple[Column, ...], window: Window, commit: CommitProperties) -> None:
    """Name the batch in the log even if it changed nothing: such a merge makes no commit."""
    table.update_incremental()
    if (
        window.mode.advances_watermark
        and (table.transaction_version(_transaction_id(window.pipeline)) or 0) < window.batch_id
    ):
        nothing = gold_schema(columns).empty_table()
        write_deltalake(table, nothing, mode="append", schema_mode="merge", commit_properties=commit)
        table.update_incremental()


def position(table: DeltaTable, pipeline: Pipeline, source: str) -> Position | None:
    """Return what an opened table holds, as `held`."""
    newest = table.transaction_version(_transaction_id(pipeline.name))
    if newest is None:
        return None
    if table.transaction_version(_transaction_id(pipeline.name, source)) != newest:
        return Position("another source", 0, newest)
    return Position(source, table.transaction_version(_transaction_id(pipeline.name, source, "upto")), newest)


def _transaction_id(*names: str) -> str:
    return "/".join(("medallion", *names))


def commit_properties(pipeline: Pipeline, window: Window) -> CommitProperties:
    """Name the batch in the commit. One that moves nothing (a trial) leaves no line."""
    lines = [
        Transaction(_transaction_id(pipeline.name), window.batch_id),
        Transaction(_transaction_id(pipeline.name, window.source), window.batch_id),
        Transaction(_transaction_id(pipeline.name, window.source, "upto"), window.upto),
    ]
    about = {"medallion.batch": str(window.batch_id), "medallion.mode": str(window.mode)}
    # a lost race must be decided anew on the refreshed table, not by delta-rs's own retries
    return CommitProperties(
        about, max_commit_retries=0, app_transactions=lines if window.mode.advances_watermark else []
    )
