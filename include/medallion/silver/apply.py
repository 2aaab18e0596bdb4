"""
Apply a batch to the Snowflake table: PUT, COPY, then one transaction with the ledger.

All DDL comes before BEGIN, since DDL commits. A batch that the ledger holds is not applied again; rows are fenced by
version all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.model.columns import (
    BATCH_ID,
    LOADED_AT,
    SYSTEM_COLUMNS,
    Column,
    check_names,
    quote_identifier,
    snowflake_name,
)
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, is_applied
from include.medallion.silver.ledger import open_ledger, read_position, record_batch
from include.medallion.silver.staging_table import Content, definitions, drop_orphans, staging_table
from include.medallion.silver.statements import fetch_all, run_sql
from include.medallion.staging.batch import Batch

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SINK = "silver"


def apply_batch(cursor: SnowflakeCursor, batch: Batch) -> Applied:
    """
    Apply a batch to the Snowflake table; create the table and its columns if need be.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `is_applied`; or the staged rows are not those that were read, or
            a key is in the batch twice.
    """
    columns, pipeline, window = batch.columns, batch.pipeline, batch.window
    check_names([*columns, *SYSTEM_COLUMNS])
    open_ledger(cursor, pipeline)
    applied = Applied.replay(batch.rows)
    if not is_applied(SINK, read_position(cursor, pipeline), window):
        _prepare_table(cursor, pipeline, columns)
        with staging_table(cursor, batch.lake, window, Content(columns, batch.key, batch.files)) as table:
            applied = _apply(cursor, batch, columns, table)
    drop_orphans(cursor, pipeline, window.batch_id)
    return applied


def _prepare_table(cursor: SnowflakeCursor, pipeline: Pipeline, columns: tuple[Column, ...]) -> None:
    target, every = table_name(pipeline), [*columns, *SYSTEM_COLUMNS]
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {target} ({definitions(every)})")
    there = {row[0] for row in fetch_all(cursor, f"DESCRIBE TABLE {target}")}
    for column in every:
        if column.snowflake_name not in there:
            cursor.execute(f"ALTER TABLE {target} ADD COLUMN IF NOT EXISTS {definitions([column])}")


def _apply(cursor: SnowflakeCursor, batch: Batch, columns: Sequence[Column], table: str) -> Applied:
    params, window = _sql_params(batch, columns, table), batch.window
    cursor.execute("BEGIN")
    try:
        applied = _WRITES.get(window.mode, _merge)(cursor, params, batch.rows)
        _check_row_counts(applied, table)
        # after the write, which waits for another writer of the table: now the ledger has that writer's row
        held_meanwhile = is_applied(SINK, read_position(cursor, batch.pipeline), window)
        if window.mode.advances_watermark and not held_meanwhile:
            record_batch(cursor, window, applied)
        cursor.execute("ROLLBACK" if held_meanwhile else "COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Applied.replay(batch.rows) if held_meanwhile else applied


def _check_row_counts(applied: Applied, table: str) -> None:
    if applied.accounted != applied.read:
        raise ContractBroken(
            f"{applied.accounted:,} of {applied.read:,} rows of {table} were applied: the Silver table holds rows "
            "without a _VERSION, which another writer wrote. Nothing was loaded; trigger a full_refresh, or use "
            "another table"
        )


def _merge(cursor: SnowflakeCursor, params: dict[str, object], rows: int) -> Applied:
    inserted, updated = run_sql(cursor, "merge", **params)
    fenced = rows - inserted - updated
    superseded = run_sql(cursor, "superseded", **params)[0] if fenced else 0
    return Applied(rows, inserted, updated, superseded)


def _replace_all(cursor: SnowflakeCursor, params: dict[str, object], rows: int) -> Applied:
    cursor.execute(f"DELETE FROM {params['target']}")  # noqa: S608
    return Applied(rows, run_sql(cursor, "replace", **params)[0], 0, 0)


def _update_lookups(cursor: SnowflakeCursor, params: dict[str, object], rows: int) -> Applied:
    (updated,) = run_sql(cursor, "update_lookups", **params)
    superseded = run_sql(cursor, "not_updated", **params)[0] if updated < rows else 0
    return Applied(rows, 0, updated, superseded)


_WRITES = {Mode.REFRESH: _replace_all, Mode.LOOKUPS: _update_lookups}


def _sql_params(batch: Batch, columns: Sequence[Column], table: str) -> dict[str, object]:
    names = [quote_identifier(c.snowflake_name) for c in [*columns, *SYSTEM_COLUMNS]]
    key = [quote_identifier(snowflake_name(c)) for c in batch.key]
    return {
        "target": table_name(batch.pipeline),
        "staged": table,
        "batch_id": batch.window.batch_id,
        "loaded_at": batch.window.opened_at.isoformat(),
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "assignments": ", ".join(f"{n} = s.{n}" for n in names if n not in key),
        "lookup_assignments": ", ".join(f"{n} = s.{n}" for n in _lookup_columns(batch.pipeline)),
        "columns": ", ".join(names),
        "values": ", ".join(f"s.{n}" for n in names),
    }


def _lookup_columns(pipeline: Pipeline) -> list[str]:
    return [quote_identifier(snowflake_name(name)) for name in (*pipeline.added_columns, BATCH_ID, LOADED_AT)]


def table_name(pipeline: Pipeline) -> str:
    """Return the table as SQL names it."""
    return quote_identifier(snowflake_name(pipeline.silver_table))
