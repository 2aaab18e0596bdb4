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

from include.medallion import delta, gold_rewrite
from include.medallion.enrich import ENRICHED, staged_columns
from include.medallion.extract import Part
from include.medallion.gold_account import account
from include.medallion.gold_append import adopt, compose
from include.medallion.gold_files import Batch
from include.medallion.gold_keys import above, bounded, check_unique, match
from include.medallion.gold_rows import in_turns
from include.medallion.lake import Lake
from include.medallion.pipeline import Pipeline
from include.medallion.reckoning import Applied
from include.medallion.schema import BATCH_ID, DELETED_AT, LOADED_AT, SYSTEM, VERSION, Column, check_names, quoted
from include.medallion.window import Mode, Position, Window, holds

SINK = "Gold"


def held(lake: Lake, pipeline: Pipeline, source: str) -> Position | None:
    """Return what the table holds: None for nothing, or a position of another source if it was filled from one."""
    table = delta.open_table(lake, pipeline.gold.table)
    return position(table, pipeline, source) if table else None


def write(lake: Lake, pipeline: Pipeline, window: Window, parts: list[Part]) -> Applied:
    """
    Apply the enriched parts of a batch to the Delta table; make the table and its columns if need be.

    Args:
        parts: at least one, with the rows that each enriched part holds.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `window.holds`; or a key is in the batch twice.
    """
    columns = staged_columns(lake, window, ENRICHED, parts[0])
    check_names([*columns, *SYSTEM])
    check_unique(lake, pipeline, window, parts)
    return delta.committed(lambda: _attempt(lake, pipeline, columns, window, parts))


def schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the Gold table."""
    return pa.schema([(c.name, c.type) for c in (*columns, *SYSTEM)])


def _attempt(lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], window: Window, parts: list[Part]) -> Applied:
    table = delta.open_or_create(
        lake, pipeline.gold.table, schema(columns), statistics=[*bounded(pipeline, columns), VERSION, BATCH_ID]
    )
    rows = sum(p.rows for p in parts)
    if holds(SINK, position(table, pipeline, window.source), window):
        return Applied.replay(rows, table.version())
    source, commit = in_turns(lake, schema(columns), window, parts), _commit(pipeline, window)
    batch = Batch(lake, table, pipeline, schema(columns), window, parts, commit)
    if window.mode is Mode.REFRESH:
        filed = adopt(batch) or compose(batch)
        updated = 0 if filed else _write(table, source, commit, mode="overwrite", schema_mode="overwrite")
    elif window.mode is Mode.LOOKUPS:
        updated = gold_rewrite.renew(batch)
        if updated is None:
            updated = _renew(_merger(table, source, commit, match(lake, pipeline, columns, window, parts)), pipeline)
    elif above(lake, table, pipeline, columns, window, parts):
        filed = adopt(batch) or compose(batch)
        updated = 0 if filed else _write(table, source, commit, mode="append", schema_mode="merge")
    elif (updated := gold_rewrite.upsert(batch)) is None:
        updated = _upsert(_merger(table, source, commit, match(lake, pipeline, columns, window, parts)))
    _record(table, columns, window, commit)
    return account(lake, pipeline, table, window, parts, updated)


def _write(
    table: DeltaTable, source: pa.RecordBatchReader, commit: CommitProperties, mode: str, schema_mode: str
) -> int:
    write_deltalake(
        table,
        source,
        mode=mode,
        schema_mode=schema_mode,
        target_file_size=delta.FILE_BYTES,
        writer_properties=delta.encoding(table),
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
        writer_properties=delta.encoding(table),
        commit_properties=commit,
    )


def _upsert(merger: TableMerger) -> int:
    """Write rows over older versions, or over the same version of an older batch; return how many."""
    fence = (
        f"source.{VERSION} > target.{VERSION} OR "
        f"(source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID})"
    )
    metrics = merger.when_matched_update_all(fence).when_not_matched_insert_all().execute()
    return metrics["num_target_rows_updated"]


def _renew(merger: TableMerger, pipeline: Pipeline) -> int:
    """Write new answers to living rows that are there in just this version; return how many."""
    fence = (
        f"source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID} "
        f"AND target.{DELETED_AT} IS NULL"
    )
    renewals = {quoted(c): f"source.{quoted(c)}" for c in (*pipeline.added_columns, BATCH_ID, LOADED_AT)}
    return merger.when_matched_update(renewals, fence).execute()["num_target_rows_updated"]


def _record(table: DeltaTable, columns: tuple[Column, ...], window: Window, commit: CommitProperties) -> None:
    """Name the batch in the log even if it changed nothing: such a merge makes no commit."""
    table.update_incremental()
    if window.mode.moves and (table.transaction_version(_line(window.pipeline)) or 0) < window.batch_id:
        nothing = schema(columns).empty_table()
        write_deltalake(table, nothing, mode="append", schema_mode="merge", commit_properties=commit)
        table.update_incremental()


def position(table: DeltaTable, pipeline: Pipeline, source: str) -> Position | None:
    """Return what an opened table holds, as `held`."""
    newest = table.transaction_version(_line(pipeline.name))
    if newest is None:
        return None
    if table.transaction_version(_line(pipeline.name, source)) != newest:
        return Position("another source", 0, newest)
    return Position(source, table.transaction_version(_line(pipeline.name, source, "upto")), newest)


def _line(*names: str) -> str:
    return "/".join(("medallion", *names))


def _commit(pipeline: Pipeline, window: Window) -> CommitProperties:
    """Name the batch in the commit. One that moves nothing (a trial) leaves no line."""
    lines = [
        Transaction(_line(pipeline.name), window.batch_id),
        Transaction(_line(pipeline.name, window.source), window.batch_id),
        Transaction(_line(pipeline.name, window.source, "upto"), window.upto),
    ]
    about = {"medallion.batch": str(window.batch_id), "medallion.mode": str(window.mode)}
    # a lost race must be decided anew on the refreshed table, not by delta-rs's own retries
    return CommitProperties(about, max_commit_retries=0, app_transactions=lines if window.mode.moves else [])
