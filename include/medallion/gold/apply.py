"""
Apply a batch to the Delta table: one conditional commit, fenced by version, that names the batch in the log.

For each kind of batch there are several ways to write it, from the cheapest to the one that always works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.table import TableMerger

from include.medallion.gold.columns import add_columns, add_features, check_types
from include.medallion.gold.description import describe_table, properties
from include.medallion.gold.inspect import check_table
from include.medallion.gold.log import SINK, commit_properties, names_batch, read_position, withdraw_properties
from include.medallion.gold.withdraw import withdraw
from include.medallion.gold.write import reload, rewrite
from include.medallion.gold.write.append import copy_staged_files, write_per_chunk
from include.medallion.gold.write.counts import count_outcome
from include.medallion.gold.write.files import GoldBatch, RowChanges, stat_columns
from include.medallion.gold.write.keys import check_unique, is_append_only, key_ranges, merge_predicate
from include.medallion.gold.write.merge import merge_with_deletes
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake import delta
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
from include.medallion.model.window import Mode, is_applied, is_planned
from include.medallion.staging.batch import Batch
from include.medallion.staging.conform import conform
from include.medallion.staging.withdrawn import read_withdrawn

Write = Callable[[GoldBatch], RowChanges | None]
"""Writes a batch in one commit; returns which rows were changed, or None, with nothing done, if it cannot."""


class Kind(StrEnum):
    """What a batch does to the table."""

    REPLACE = "replace"  # all rows, by a full refresh
    APPEND = "append"  # no key of the batch is in the table
    UPSERT = "upsert"
    RELOAD = "reload"  # chosen rows, whatever the table holds of them
    UPDATE_LOOKUPS = "update look-ups"  # nothing but the columns of enrichments


def apply_batch(batch: Batch) -> Applied:
    """
    Apply a batch to the Delta table; create the table and its columns if need be.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `is_applied`; or a key is in the batch twice.
    """
    return delta.retry_on_conflict(lambda: _try_apply(batch))


def check_batch(batch: Batch) -> None:
    """
    Check, before any sink is touched, that the table can hold the batch's values as they are.

    Raises:
        ContractBroken: names the column, both types and the fix.
    """
    table = delta.open_table(batch.lake, batch.pipeline.gold_table)
    if table is None or batch.window.mode is Mode.REFRESH:
        return
    position = read_position(batch.lake, batch.pipeline, table, batch.window.source)
    if not is_planned(position, batch.window):
        return  # `apply` says so
    conformed = conform(batch, position)
    check_types(batch.pipeline, table, gold_schema(conformed.columns, batch.key))


def gold_schema(columns: Sequence[Column], key: Sequence[str]) -> pa.Schema:
    """Return the schema of the Gold table; columns of the key are never NULL."""
    return pa.schema([_field(column, column.name in key) for column in (*columns, *SYSTEM_COLUMNS)])


def _field(column: Column, is_key: bool) -> pa.Field:
    return pa.field(column.name, column.type, not is_key, {"comment": column.comment} if column.comment else None)


def _try_apply(batch: Batch) -> Applied:
    schema = gold_schema(batch.columns, batch.key)
    statistics = [*stat_columns(batch.key, schema), VERSION, BATCH_ID]
    table = delta.open_or_create(
        batch.lake,
        batch.pipeline.gold_table,
        schema,
        statistics=statistics,
        description=batch.comment or None,
        properties=properties(batch.pipeline),
    )
    check_table(batch.pipeline, table)
    position = read_position(batch.lake, batch.pipeline, table, batch.window.source)
    if is_applied(SINK, position, batch.window):
        return Applied.replay(batch.changes, table.version())
    gold = _fit(conform(batch, position), table)
    check_unique(gold)
    withdrawn = withdraw(replace(gold, commit=withdraw_properties(batch.window)), read_withdrawn(batch))
    changes = next(rows for write in _WAYS_TO_WRITE[_kind_of(gold)] if (rows := write(gold)) is not None)
    _record_batch(gold)
    return count_outcome(gold, changes, withdrawn)


def _fit(batch: Batch, table: DeltaTable) -> GoldBatch:
    """Fit table and batch to each other: a full refresh brings its columns, any other batch gets those of the table."""
    columns = batch.columns
    check_names([*columns, *SYSTEM_COLUMNS])
    schema = gold_schema(columns, batch.key)
    if batch.window.mode is not Mode.REFRESH:
        check_types(batch.pipeline, table, schema)
        schema = add_columns(table, schema)
    else:
        add_features(table, schema)
    describe_table(table, batch, schema)
    commit = commit_properties(batch.window)
    return GoldBatch(batch.lake, batch.pipeline, batch.window, batch.files, table, schema, commit, batch.gone)


def _kind_of(gold: GoldBatch) -> Kind:
    if gold.window.mode in _KINDS:
        return _KINDS[gold.window.mode]
    return Kind.APPEND if not gold.gone and is_append_only(gold) else Kind.UPSERT


def _write_deltalake(gold: GoldBatch, mode: Literal["append", "overwrite"]) -> RowChanges:
    write_deltalake(
        gold.table,
        interleave_parts(gold),
        mode=mode,
        schema_mode="overwrite" if mode == "overwrite" else None,
        target_file_size=delta.TARGET_FILE_BYTES,
        writer_properties=delta.writer_properties(gold.table),
        commit_properties=gold.commit,
    )
    return RowChanges()


def _merger(gold: GoldBatch) -> TableMerger:
    return gold.table.merge(
        interleave_parts(gold),
        merge_predicate(gold.key, key_ranges(gold)),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(gold.table),
        commit_properties=gold.commit,
    )


def _merge_rows(gold: GoldBatch) -> RowChanges:
    """Write rows over older versions, or over the same version of an older batch; return how many."""
    if gold.gone:
        return merge_with_deletes(gold)
    fence = (
        f"source.{VERSION} > target.{VERSION} OR "
        f"(source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID})"
    )
    metrics = _merger(gold).when_matched_update_all(fence).when_not_matched_insert_all().execute()
    return RowChanges(int(metrics["num_target_rows_updated"]))


def _merge_lookups(gold: GoldBatch) -> RowChanges:
    """Write new look-up results to live rows of the same version; return how many."""
    fence = (
        f"source.{VERSION} = target.{VERSION} AND source.{BATCH_ID} >= target.{BATCH_ID} "
        f"AND target.{DELETED_AT} IS NULL"
    )
    columns = (*gold.pipeline.added_columns, BATCH_ID, LOADED_AT)
    updates = {quote_identifier(c): f"source.{quote_identifier(c)}" for c in columns}
    return RowChanges(int(_merger(gold).when_matched_update(updates, fence).execute()["num_target_rows_updated"]))


def _record_batch(gold: GoldBatch) -> None:
    """Name the batch in the log even if it changed nothing: such a merge makes no commit."""
    table: DeltaTable = gold.table
    table.update_incremental()
    if gold.window.mode.advances_watermark and not names_batch(table, gold.window):
        nothing = gold.schema.empty_table()
        write_deltalake(table, nothing, mode="append", commit_properties=gold.commit)
        table.update_incremental()


_KINDS = {
    Mode.REFRESH: Kind.REPLACE,
    Mode.LOOKUPS: Kind.UPDATE_LOOKUPS,
    Mode.RELOAD: Kind.RELOAD,
    Mode.ACCEPT: Kind.RELOAD,
}
_WAYS_TO_WRITE: dict[Kind, tuple[Write, ...]] = {
    Kind.REPLACE: (copy_staged_files, write_per_chunk, partial(_write_deltalake, mode="overwrite")),
    Kind.APPEND: (copy_staged_files, write_per_chunk, partial(_write_deltalake, mode="append")),
    Kind.UPSERT: (rewrite.upsert, _merge_rows),
    Kind.RELOAD: (reload.replace_rows, reload.merge_rows),
    Kind.UPDATE_LOOKUPS: (rewrite.update_lookups, _merge_lookups),
}
"""For each kind of batch, the ways to write it: the cheapest first; the last one always works."""
