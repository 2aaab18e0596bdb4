"""Rows whose newer version is quarantined, and rows that are gone: deleted in the transaction of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.counts import Applied
from include.medallion.silver.staging_table import Content, staging_table
from include.medallion.silver.statements import run_sql
from include.medallion.staging.batch import Batch
from include.medallion.staging.withdrawn import key_columns, read_withdrawn, stage_withdrawn

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor


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
