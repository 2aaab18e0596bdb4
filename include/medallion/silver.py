"""
The Snowflake sink: PUT, COPY, then one transaction that merges, checks the ledger and records the batch.

All DDL comes before BEGIN, since DDL commits. A batch that the ledger holds is
not applied again; rows are fenced by version all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.medallion.enrich import ENRICHED, staged_columns
from include.medallion.errors import ContractBroken
from include.medallion.extract import Part
from include.medallion.lake import Lake
from include.medallion.pipeline import Pipeline
from include.medallion.reckoning import Applied
from include.medallion.schema import BATCH_ID, LOADED_AT, SYSTEM, Column, check_names, quoted, snowflake_name
from include.medallion.silver_batch import SQL, definitions, run_sql, staged_table, sweep
from include.medallion.window import Mode, Position, Window, holds

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SINK = "Silver"


def held(connection: SnowflakeConnection, pipeline: Pipeline) -> Position | None:
    """Return what the table holds; None for nothing. Reading the ledger may start the warehouse."""
    with connection.cursor() as cursor:
        _open_ledger(cursor, pipeline)
        return position(cursor, pipeline)


def load(
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
    check_names([*columns, *SYSTEM])
    rows = sum(p.rows for p in parts)
    with connection.cursor() as cursor:
        _open_ledger(cursor, pipeline)
        applied = Applied.replay(rows)
        if not holds(SINK, position(cursor, pipeline), window):
            _prepare(cursor, pipeline, columns)
            with staged_table(cursor, lake, pipeline, columns, window, parts) as table:
                applied = _apply(cursor, pipeline, columns, window, table, rows)
        sweep(cursor, pipeline, window.batch_id)
        return applied


def _open_ledger(cursor: SnowflakeCursor, pipeline: Pipeline) -> None:
    """Make the ledger if there is none; forget what it tells of a table that is not there: dropped, or renamed."""
    run_sql(cursor, "silver_ledger")
    name = snowflake_name(pipeline.silver.table)
    alike = cursor.execute("SHOW TERSE TABLES LIKE %(name)s", {"name": name}).fetchall()
    if name not in {row[1] for row in alike}:
        cursor.execute("DELETE FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s", {"pipeline": pipeline.name})


def _prepare(cursor: SnowflakeCursor, pipeline: Pipeline, columns: tuple[Column, ...]) -> None:
    target, every = table_name(pipeline), [*columns, *SYSTEM]
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
    words = _words(pipeline, columns, window, table)
    cursor.execute("BEGIN")
    try:
        applied = _WRITES.get(window.mode, _merge)(cursor, words, rows)
        _check_balance(applied, table)
        # after the write, which waits for another writer of the table: now the ledger tells what that one did
        held_meanwhile = holds(SINK, position(cursor, pipeline), window)
        if window.mode.moves and not held_meanwhile:
            _record(cursor, window, applied)
        cursor.execute("ROLLBACK" if held_meanwhile else "COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Applied.replay(rows) if held_meanwhile else applied


def _check_balance(applied: Applied, table: str) -> None:
    done = applied.inserted + applied.updated + applied.superseded
    if done != applied.read:
        raise ContractBroken(
            f"{done} of {applied.read} rows of {table} arrived: the Silver table holds rows without a _VERSION, "
            "written by something else. Nothing was loaded; trigger a full_refresh, or use another table"
        )


def _merge(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    inserted, updated = run_sql(cursor, "silver_merge", **words)
    fenced = rows - inserted - updated
    superseded = run_sql(cursor, "silver_superseded", **words)[0] if fenced else 0
    return Applied(rows, inserted, updated, superseded)


def _replace(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    cursor.execute(f"DELETE FROM {words['target']}")  # noqa: S608
    return Applied(rows, run_sql(cursor, "silver_replace", **words)[0], 0, 0)


def _renew(cursor: SnowflakeCursor, words: dict[str, object], rows: int) -> Applied:
    (updated,) = run_sql(cursor, "silver_renew", **words)
    superseded = run_sql(cursor, "silver_not_renewed", **words)[0] if updated < rows else 0
    return Applied(rows, 0, updated, superseded)


_WRITES = {Mode.REFRESH: _replace, Mode.LOOKUPS: _renew}


def _record(cursor: SnowflakeCursor, window: Window, applied: Applied) -> None:
    cursor.execute((SQL / "silver_record.sql").read_text(), {**window.to_json(), **applied.to_json()})


def position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """Return what the table holds, as the ledger tells in the cursor's transaction."""
    found = cursor.execute((SQL / "silver_position.sql").read_text(), {"pipeline": pipeline.name}).fetchone()
    return Position(*found) if found else None


def _words(pipeline: Pipeline, columns: tuple[Column, ...], window: Window, table: str) -> dict[str, object]:
    names = [quoted(c.snowflake_name) for c in [*columns, *SYSTEM]]
    key = [quoted(snowflake_name(c)) for c in pipeline.source.key]
    return {
        "target": table_name(pipeline),
        "staged": table,
        "batch_id": window.batch_id,
        "loaded_at": window.opened_at.isoformat(),
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "assignments": ", ".join(f"{n} = s.{n}" for n in names if n not in key),
        "renewals": ", ".join(f"{n} = s.{n}" for n in _renewals(pipeline)),
        "columns": ", ".join(names),
        "values": ", ".join(f"s.{n}" for n in names),
    }


def _renewals(pipeline: Pipeline) -> list[str]:
    return [quoted(snowflake_name(name)) for name in (*pipeline.added_columns, BATCH_ID, LOADED_AT)]


def table_name(pipeline: Pipeline) -> str:
    """Return the table as SQL names it."""
    return quoted(snowflake_name(pipeline.silver.table))
