"""Withdraw rows whose newer version is quarantined, in the transaction that applies the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
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
