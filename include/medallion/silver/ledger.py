"""The ledger of applied batches: the table `_MEDALLION_BATCHES` in the schema of the Silver tables."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.columns import snowflake_name
from include.medallion.model.counts import Applied
from include.medallion.model.window import Position, Window
from include.medallion.silver.statements import fetch_all, names_no_object, run_bound, run_sql
from include.medallion.silver.table import table_name

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor


def open_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """
    Return what the table holds as `read_position` does; create the ledger if there is none.

    Rows of the ledger whose table was dropped or renamed are deleted. DDL: to be called before BEGIN.
    """
    try:
        return read_position(cursor, pipeline)
    except Exception as e:
        if type(e).__name__ != "ProgrammingError":  # as PEP 249 calls it
            raise
    _open_ledger(cursor, pipeline)
    return read_position(cursor, pipeline)


def _open_ledger(cursor: SnowflakeCursor, pipeline: Pipeline) -> None:
    run_sql(cursor, "ledger")
    for column in ("SCHEMA_ID", "TABLE_BATCH_ID"):  # of before there were any
        cursor.execute(f"ALTER TABLE _MEDALLION_BATCHES ADD COLUMN IF NOT EXISTS {column} BIGINT")
    name = snowflake_name(pipeline.silver_table)
    alike = fetch_all(cursor, "SHOW TERSE TABLES LIKE %(name)s", {"name": name})
    if name not in {row[1] for row in alike}:
        cursor.execute("DELETE FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s", {"pipeline": pipeline.name})


def find_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """Return what the table holds as `read_position` does; None also if there is no table, or no ledger."""
    try:
        return read_position(cursor, pipeline)
    except Exception as e:
        if names_no_object(e):
            return None
        raise


def read_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """
    Return what the table holds, as the ledger says in the cursor's transaction; None for nothing.

    The ledger remembers the largest batch id in the table. If the table has only smaller ones now, it was restored to
    the past while the ledger was not: then it holds what the newest batch did whose rows it can have.
    """
    found = _find_positions(cursor, pipeline)
    return found[1] if found else None


def recorded_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """
    Return what the ledger says that the table holds, in the cursor's transaction; None for nothing.

    For a transaction that has deleted rows: without them the table may look as if it was restored.
    """
    found = run_bound(cursor, "position", {"pipeline": pipeline.name})
    return Position(*found[0][:-1]) if found else None


def correct_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """
    Return what the table holds as `read_position` does, and let the ledger say so if the table was restored.

    For a transaction that writes to the table: its rows would be the newest ones, and the restore could not be noticed
    any more.
    """
    found = _find_positions(cursor, pipeline)
    if found is None:
        return None
    recorded, held = found
    if recorded != held:
        params = {"pipeline": pipeline.name, "batch_id": held.batch_id, "upto": held.upto}
        run_bound(cursor, "forget_newer", params)
        run_bound(cursor, "forget_rows", params)
    return held


def _find_positions(cursor: SnowflakeCursor, pipeline: Pipeline) -> tuple[Position, Position] | None:
    """Return the position that the ledger has, and that of the table's rows; None for nothing."""
    found = run_bound(cursor, "position", {"pipeline": pipeline.name})
    if not found:
        return None
    *newest, recorded = found[0]
    position, held = Position(*newest), _newest_in_table(cursor, pipeline)
    if recorded is None or held >= recorded:
        return position, position
    older = run_bound(cursor, "older_position", {"pipeline": pipeline.name, "held": held})
    return position, Position(*older[0]) if older and held else replace(position, upto=0)


def record_batch(cursor: SnowflakeCursor, pipeline: Pipeline, window: Window, applied: Applied) -> None:
    """Record an applied batch, in the transaction that applies it."""
    about = {name: getattr(window, name) for name in ("pipeline", "batch_id", "source", "after", "upto", "schema")}
    run_bound(cursor, "record", {**about, "mode": str(window.mode), **asdict(applied)}, target=table_name(pipeline))


def record_change(cursor: SnowflakeCursor, pipeline: Pipeline) -> None:
    """Record that rows were written or deleted by what is no batch of the ledger, in the transaction that does so."""
    run_bound(cursor, "record_change", {"pipeline": pipeline.name}, target=table_name(pipeline))


def _newest_in_table(cursor: SnowflakeCursor, pipeline: Pipeline) -> int:
    """Return the largest batch id of the table's rows, 0 without any; Snowflake answers it from its metadata."""
    found = fetch_all(cursor, f"SELECT COALESCE(MAX(_BATCH_ID), 0) FROM {table_name(pipeline)}")  # noqa: S608
    return int(found[0][0])


def prune(cursor: SnowflakeCursor, pipeline: Pipeline, before: int) -> int:
    """
    Delete the ledger's rows of batches older than batch id `before`; the newest row stays, however old it is.

    Returns:
        How many rows were deleted.
    """
    run_sql(cursor, "ledger")
    params = {"pipeline": pipeline.name, "before": before}
    return int(run_bound(cursor, "prune", params)[0][0])
