"""
How the rows of a batch are written: a statement, or a few, for each kind of window.

In the same transaction rows are deleted that are gone, or whose newer version is quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from include.medallion.silver.staging_table import Content, staged_values, staging_table
from include.medallion.silver.statements import run_sql
from include.medallion.silver.table import table_name
from include.medallion.staging.batch import Batch
from include.medallion.staging.withdrawn import key_columns, read_withdrawn, stage_withdrawn

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


@contextmanager
def withdrawn_table(cursor: SnowflakeCursor, batch: Batch) -> Iterator[str | None]:
    """Lend a staging table with the keys of the batch's quarantined rows; None if there are none."""
    keys = read_withdrawn(batch)
    if not keys.num_rows:
        yield None
        return
    content = Content(key_columns(batch), batch.key, [stage_withdrawn(batch, keys)])
    with staging_table(cursor, batch.lake, batch.window, content) as table:
        yield table


def withdraw(cursor: SnowflakeCursor, pipeline: Pipeline, params: Mapping[str, object], withdrawn: str) -> int:
    """
    Mark rows as deleted, or remove them, as `deletes` of the pipeline says; return how many.

    Args:
        params: words of the batch's statements.
        withdrawn: staging table of the keys.
    """
    return int(run_sql(cursor, f"withdraw_{pipeline.deletes}", **params, withdrawn=withdrawn)[0])


def delete_gone(cursor: SnowflakeCursor, batch: Batch, params: Mapping[str, object], applied: Applied) -> Applied:
    """Mark or remove rows that the source no longer has; a key without such a row counts as superseded."""
    deleted = int(run_sql(cursor, f"delete_gone_{batch.pipeline.deletes}", **params)[0])
    kept = batch.gone_keys - deleted
    return replace(applied, read=batch.changes, superseded=applied.superseded + kept, deleted=deleted)


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
