"""How the rows of a batch are written: a statement, or a few, for each kind of window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.columns import (
    BATCH_ID,
    LOADED_AT,
    SYSTEM_COLUMNS,
    Column,
    quote_identifier,
    snowflake_name,
)
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode
from include.medallion.silver.staging_table import staged_values
from include.medallion.silver.statements import run_sql
from include.medallion.silver.table import table_name
from include.medallion.staging.batch import Batch

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

Write = Callable[["SnowflakeCursor", dict[str, object], int], Applied]
"""Writes the rows of a staging table, given the words of the statements and the number of rows."""


def write_of(mode: Mode) -> Write:
    """Return how the rows of such a window are written."""
    return _BY_MODE.get(mode, _merge)


def sql_params(batch: Batch, columns: Sequence[Column], table: str, others: Sequence[str]) -> dict[str, object]:
    """Return the words of the statements; `others` are columns of the table that the batch does not have: NULL."""
    names = [quote_identifier(c.snowflake_name) for c in [*columns, *SYSTEM_COLUMNS]]
    key = [quote_identifier(snowflake_name(c)) for c in batch.key]
    return {
        "target": table_name(batch.pipeline),
        "staged": table,
        "batch_id": batch.window.batch_id,
        "loaded_at": batch.window.opened_at.isoformat(),
        "staged_values": staged_values(columns),
        "key": ", ".join(key),
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "assignments": ", ".join(
            [*(f"{n} = s.{n}" for n in names if n not in key), *(f"{quote_identifier(n)} = NULL" for n in others)]
        ),
        "lookup_assignments": ", ".join(f"{n} = s.{n}" for n in _lookup_columns(batch.pipeline)),
        "columns": ", ".join(names),
        "values": ", ".join(f"s.{n}" for n in names),
    }


def _lookup_columns(pipeline: Pipeline) -> list[str]:
    return [quote_identifier(snowflake_name(name)) for name in (*pipeline.added_columns, BATCH_ID, LOADED_AT)]


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


def _reload(cursor: SnowflakeCursor, params: dict[str, object], rows: int) -> Applied:
    """Write chosen rows whatever their version there, once each; rows that a newer batch wrote stay."""
    held, newer = run_sql(cursor, "reload_held", **params)
    run_sql(cursor, "reload_clear", **params)
    run_sql(cursor, "reload_skip", **params)
    (written,) = run_sql(cursor, "replace", **params)
    return Applied(rows, written - (held - newer), held - newer, rows - written)


_BY_MODE = {Mode.REFRESH: _replace_all, Mode.LOOKUPS: _update_lookups, Mode.RELOAD: _reload, Mode.ACCEPT: _reload}
