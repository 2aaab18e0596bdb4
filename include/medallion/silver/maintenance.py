"""Snowflake kept in shape: tables that killed tries left, and ledger rows that nobody asks for any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.silver.reconcile import SUFFIX
from include.medallion.silver.staging_table import SQL, drop_orphans, run_sql

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


def maintain(connection: SnowflakeConnection, pipeline: Pipeline, *, abandoned: int, before: int) -> int:
    """
    Drop what killed tries left, and shorten the ledger; the pipeline's newest row stays, whatever its age.

    Args:
        abandoned: batch id; tries of older batches are no longer at work.
        before: batch id; older rows of the ledger are deleted.

    Returns:
        How many ledger rows were deleted.
    """
    with connection.cursor() as cursor:
        for kind in ("", SUFFIX):  # of a batch, of a reconcile
            drop_orphans(cursor, pipeline, abandoned, kind)
        run_sql(cursor, "ledger")
        words = {"pipeline": pipeline.name, "before": before}
        return cursor.execute((SQL / "prune.sql").read_text(), words).fetchone()[0]
