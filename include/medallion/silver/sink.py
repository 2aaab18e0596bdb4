"""
The Snowflake sink: PUT, COPY, then one transaction that merges, checks the ledger and records the batch.

All DDL comes before BEGIN, since DDL commits. A batch that the ledger holds is
not applied again; rows are fenced by version all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
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
from include.medallion.model.window import Mode, Position, Window, is_applied
from include.medallion.silver.staging_table import SQL, definitions, drop_orphans, run_sql, staged_table
from include.medallion.staging.layout import ENRICHED
from include.medallion.staging.parts import Part, staged_columns

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SINK = "Silver"


def read_position(connection: SnowflakeConnection, pipeline: Pipeline) -> Position | None:
    """Return what the table holds; None for nothing. Reading the ledger may start the warehouse."""
    with connection.cursor() as cursor:
        _open_ledger(cursor, pipeline)
        return position(cursor, pipeline)


def apply_batch(
    connection: SnowflakeConnection,
    lake: Lake,
    pipeline: Pipeline,
    window: Window,
    parts: list[Part],
) -> Applied:
    """
    Apply the enriched parts of a batch to the Snowflake table; make the table and its columns if need be.

    Args:
        parts: at least one, with the rows that each enriched part holds.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `window.holds`; or the staged
            rows are not those that were read, or a key is in the batch twice.
    """
    columns = staged_columns(lake, window, ENRICHED, parts[0])
    check_names([*columns, *SYSTEM_COLUMNS])
    rows = sum(p.rows for p in parts)
    with connection.cursor() as cursor:
        _open_ledger(cursor, pipeline)
        applied = Applied.replay(rows)
        if not is_applied(SINK, position(cursor, pipeline), window):
            _prepare_table(cursor, pipeline, columns)
            with staged_table(cursor, lake, pipeline, columns, window, parts) as table:
                applied = _apply(cursor, pipeline, columns, window, table, rows)
        drop_orphans(cursor, pipeline, window.batch_id)
        return applied


def _open_ledger(cursor: SnowflakeCursor, pipeline: Pipeline) -> None:
    """Make the ledger if there is none; forget what it tells of a table that is not there: dropped, or renamed."""
    run_sql(cursor, "ledger")
    name = snowflake_name(pipeline.silver.table)
    alike = cursor.execute("SHOW TERSE TABLES LIKE %(name)s", {"name": name}).fetchall()
    if name not in {row[1] for row in alike}:
        cursor.execute("DELETE FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s", {"pipeline": pipeline.name})


def _prepare_table(cursor: SnowflakeCursor, pipeline: Pipeline, columns: tuple[Column, ...]) -> None:
    target, every = table_name(pipeline), [*columns, *SYSTEM_COLUMNS]
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {target} ({definitions(every)})")
    there = {row[0] for row in cursor.execute(f"DESCRIBE TABLE {target}").fetchall()}
    for column in every:
        if column.snowflake_name not in there:
            cursor.execute(f"ALTER TABLE {target} ADD COLUMN IF NOT EXISTS {definitions([column])}")


def _apply(
    cursor: SnowflakeCursor,
    pipeline: Pipeline,
    columns: tuple[Column, ...],
    window: Window,
    table: str,
    rows: int,
) -> Applied:
    words = _sql_params(pipeline, columns, window, table)
    cursor.execute("BEGIN")
    try:
        applied = _WRITES.get(window.mode, _merge)(cursor, words, rows)
        _check_row_counts(applied, table)
        # after the write, which waits for another writer of the table: now the ledger tells what that one did
        held_meanwhile = is_applied(SINK, position(cursor, pipeline), window)
        if window.mode.advances_watermark and not held_meanwhile:
            _record(cursor, window, applied)
        cursor.execute("ROLLBACK" if held_meanwhile else "COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Applied.replay(rows) if held_meanwhile else applied


def _check_row_counts(applied: Applied, table: str) -> None:
    done = applied.inserted + applied.updated + applied.superseded
    if done != applied.read:
        raise ContractBroken(
            f"{done} of {applied.read} rows of {table} arrived: the Silver table holds rows without a _VERSION, "
            "written by something else. Nothing was loaded; trigger a full_refresh, or use another table"
        )


def _merge(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    inserted, updated = run_sql(cursor, "merge", **words)
    fenced = rows - inserted - updated
    superseded = run_sql(cursor, "superseded", **words)[0] if fenced else 0
    return Applied(rows, inserted, updated, superseded)


def _replace_all(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    cursor.execute(f"DELETE FROM {words['target']}")  # noqa: S608
    return Applied(rows, run_sql(cursor, "replace", **words)[0], 0, 0)


def _update_lookups(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    (updated,) = run_sql(cursor, "renew", **words)
    superseded = run_sql(cursor, "not_renewed", **words)[0] if updated < rows else 0
    return Applied(rows, 0, updated, superseded)


_WRITES = {Mode.REFRESH: _replace_all, Mode.LOOKUPS: _update_lookups}


def _record(cursor: SnowflakeCursor, window: Window, applied: Applied) -> None:
    cursor.execute((SQL / "record.sql").read_text(), {**window.to_json(), **applied.to_json()})


def position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """Return what the table holds, as the ledger tells in the cursor's transaction."""
    found = cursor.execute((SQL / "position.sql").read_text(), {"pipeline": pipeline.name}).fetchone()
    return Position(*found) if found else None


def _sql_params(pipeline: Pipeline, columns: tuple[Column, ...], window: Window, table: str) -> dict[str, object]:
    names = [quote_identifier(c.snowflake_name) for c in [*columns, *SYSTEM_COLUMNS]]
    key = [quote_identifier(snowflake_name(c)) for c in pipeline.source.key]
    return {
        "target": table_name(pipeline),
        "staged": table,
        "batch_id": window.batch_id,
        "loaded_at": window.opened_at.isoformat(),
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "assignments": ", ".join(f"{n} = s.{n}" for n in names if n not in key),
        "renewals": ", ".join(f"{n} = s.{n}" for n in _lookup_columns(pipeline)),
        "columns": ", ".join(names),
        "values": ", ".join(f"s.{n}" for n in names),
    }


def _lookup_columns(pipeline: Pipeline) -> list[str]:
    return [quote_identifier(snowflake_name(name)) for name in (*pipeline.added_columns, BATCH_ID, LOADED_AT)]


def table_name(pipeline: Pipeline) -> str:
    """Return the table as SQL names it."""
    return quote_identifier(snowflake_name(pipeline.silver.table))
