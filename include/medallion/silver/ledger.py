"""The ledger of applied batches: the table `_MEDALLION_BATCHES` in the schema of the Silver tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.columns import snowflake_name
from include.medallion.model.counts import Applied
from include.medallion.model.window import Position, Window
from include.medallion.silver.statements import fetch_all, run_bound, run_sql

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor


_LEDGER = "_MEDALLION_BATCHES"


def open_ledger(cursor: SnowflakeCursor, pipeline: Pipeline) -> None:
    """Create the ledger if there is none; delete its rows of a table that was dropped or renamed."""
    run_sql(cursor, "ledger")
    cursor.execute(
        "ALTER TABLE _MEDALLION_BATCHES ADD COLUMN IF NOT EXISTS SCHEMA_ID BIGINT"
    )  # of before there was one
    name = snowflake_name(pipeline.silver_table)
    alike = fetch_all(cursor, "SHOW TERSE TABLES LIKE %(name)s", {"name": name})
    if name not in {row[1] for row in alike}:
        cursor.execute("DELETE FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s", {"pipeline": pipeline.name})


def find_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """Return what the table holds as `read_position` does; creates no ledger, and changes none."""
    for name in (_LEDGER, snowflake_name(pipeline.silver_table)):
        if name not in {row[1] for row in fetch_all(cursor, "SHOW TERSE TABLES LIKE %(name)s", {"name": name})}:
            return None
    return read_position(cursor, pipeline)


def read_position(cursor: SnowflakeCursor, pipeline: Pipeline) -> Position | None:
    """Return what the table holds, as the ledger says in the cursor's transaction; None for nothing."""
    found = run_bound(cursor, "position", {"pipeline": pipeline.name})
    return Position(*found[0]) if found else None


def record_batch(cursor: SnowflakeCursor, window: Window, applied: Applied) -> None:
    """Record an applied batch, in the transaction that applies it."""
    run_bound(cursor, "record", {**asdict(window), "mode": str(window.mode), **asdict(applied)})


def prune(cursor: SnowflakeCursor, pipeline: Pipeline, before: int) -> int:
    """
    Delete the ledger's rows of batches older than batch id `before`; the newest row stays, however old it is.

    Returns:
        How many rows were deleted.
    """
    run_sql(cursor, "ledger")
    params = {"pipeline": pipeline.name, "before": before}
    return int(run_bound(cursor, "prune", params)[0][0])
