"""
Apply a batch to the Snowflake table: PUT, COPY, then one transaction with the ledger.

All DDL comes before BEGIN, since DDL commits. A batch that the ledger holds is not applied again; rows are fenced by
version all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet_files import read_schema
from include.medallion.model.columns import SYSTEM_COLUMNS, Column, check_names, columns_from_schema
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, is_applied, is_planned
from include.medallion.silver.description import describe_table
from include.medallion.silver.ledger import (
    correct_position,
    open_position,
    read_position,
    record_batch,
    record_change,
    recorded_position,
)
from include.medallion.silver.staging_table import Content, drop_orphans, staging_table
from include.medallion.silver.statements import Row, fetch_all, run_sql
from include.medallion.silver.table import (
    add_columns,
    check_types,
    definitions,
    fits,
    read_columns,
    read_types,
    table_name,
    types_of,
    update_view,
)
from include.medallion.silver.write import delete_gone, sql_params, withdraw, withdrawn_table, write_of
from include.medallion.staging.batch import Batch
from include.medallion.staging.conform import conform

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SINK = "silver"
GONE_SUFFIX = "_GONE"


def check_batch(cursor: SnowflakeCursor, batch: Batch) -> None:
    """
    Check, before any sink is touched, that the table can hold the batch's values as they are.

    Raises:
        ContractBroken: names the column, both types and the fix.
    """
    if batch.window.mode is Mode.REFRESH:
        return
    position = open_position(cursor, batch.pipeline)
    if not is_planned(position, batch.window):
        return  # `apply` says so
    conformed = conform(batch, position)
    check_types(batch.pipeline, read_types(cursor, batch.pipeline), conformed.columns)


def apply_batch(cursor: SnowflakeCursor, batch: Batch) -> Applied:
    """
    Apply a batch to the Snowflake table; create the table and its columns if need be.

    Raises:
        SinkBehind, SourceChanged, ContractBroken: as `is_applied`; or the staged rows are not those that were read, a
            key is in the batch twice, or a column has another type than the rows.
    """
    pipeline, window = batch.pipeline, batch.window
    position = open_position(cursor, pipeline)
    applied = Applied.replay(batch.changes)
    if not is_applied(SINK, position, window):
        batch = conform(batch, position)
        columns = batch.columns
        check_names([*columns, *SYSTEM_COLUMNS])
        described = _check_table(cursor, batch)
        with (
            staging_table(cursor, batch.lake, window, Content(columns, batch.key, batch.files)) as table,
            _staged_gone(cursor, batch) as gone,
            withdrawn_table(cursor, batch) as withdrawn,
        ):
            applied = _apply(cursor, batch, described, table, (gone, withdrawn))
    for suffix in ("", GONE_SUFFIX) if batch.gone else ("",):
        drop_orphans(cursor, pipeline, window.batch_id, suffix)
    return applied


def _staged_gone(cursor: SnowflakeCursor, batch: Batch) -> AbstractContextManager[str | None]:
    """Stage the keys that the source no longer has; None if there are none."""
    if not batch.gone:
        return nullcontext()
    columns = columns_from_schema(read_schema(batch.lake, batch.gone[0].path, batch.gone[0].info))
    return staging_table(cursor, batch.lake, batch.window, Content(columns, batch.key, batch.gone, GONE_SUFFIX))


def _check_table(cursor: SnowflakeCursor, batch: Batch) -> dict[str, Row]:
    """Check, before anything is staged, that the table can hold the batch, or will be replaced; return its columns."""
    described, every = read_columns(cursor, batch.pipeline), [*batch.columns, *SYSTEM_COLUMNS]
    if batch.window.mode is not Mode.REFRESH:
        check_types(batch.pipeline, types_of(described), every)
    return described


def _apply(
    cursor: SnowflakeCursor,
    batch: Batch,
    described: dict[str, Row],
    table: str,
    others: tuple[str | None, str | None],
) -> Applied:
    """Apply a batch; `others` are staging tables of keys that are gone, and of those that are withdrawn."""
    columns = batch.columns
    (gone, withdrawn), pipeline, every = others, batch.pipeline, [*columns, *SYSTEM_COLUMNS]
    if batch.window.mode is Mode.REFRESH and described and not fits(types_of(described), every):
        return _replace_table(cursor, batch, columns, table)
    lacking = sorted(described.keys() - {c.snowflake_name for c in every})
    described = add_columns(cursor, pipeline, described, every)
    describe_table(cursor, batch, columns, described)
    update_view(cursor, pipeline, described)
    params = sql_params(batch, columns, table, lacking)
    write = write_of(batch.window.mode)

    def write_all() -> Applied:
        applied = write(cursor, params, batch.rows)
        applied = delete_gone(cursor, batch, {**params, "staged": gone}, applied) if gone else applied
        return replace(applied, withdrawn=withdraw(cursor, pipeline, params, withdrawn)) if withdrawn else applied

    return _in_transaction(cursor, batch, write_all)


def _replace_table(cursor: SnowflakeCursor, batch: Batch, columns: Sequence[Column], table: str) -> Applied:
    """
    Replace the table by one with the batch's columns and types, in one statement that keeps its grants.

    A kill between it and the ledger's row leaves new rows under an old position: the next try replaces them again.
    """
    params = sql_params(batch, columns, table, ())
    is_applied(SINK, read_position(cursor, batch.pipeline), batch.window)
    run_sql(cursor, "replace_table", **params, definitions=definitions([*columns, *SYSTEM_COLUMNS], batch.key))
    described = read_columns(cursor, batch.pipeline)
    describe_table(cursor, batch, columns, described)
    update_view(cursor, batch.pipeline, described)
    count = fetch_all(cursor, f"SELECT COUNT(*) FROM {table_name(batch.pipeline)}")[0][0]  # noqa: S608
    return _in_transaction(cursor, batch, lambda: Applied(batch.rows, int(count), 0, 0))


def _in_transaction(cursor: SnowflakeCursor, batch: Batch, write: Callable[[], Applied]) -> Applied:
    """Write, check and record a batch in one transaction."""
    window = batch.window
    cursor.execute("BEGIN")
    try:
        is_applied(SINK, correct_position(cursor, batch.pipeline), window)  # it may have been restored meanwhile
        applied = write()
        _check_row_counts(applied, batch.pipeline)
        # after the write, which waits for another writer of the table: now the ledger has that writer's row
        position = recorded_position(cursor, batch.pipeline)
        held_meanwhile = is_applied(SINK, position, window)
        if window.mode.advances_watermark and not held_meanwhile:
            record_batch(cursor, batch.pipeline, window, applied)
        elif not held_meanwhile and position:
            record_change(cursor, batch.pipeline)
        cursor.execute("ROLLBACK" if held_meanwhile else "COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Applied.replay(batch.changes) if held_meanwhile else applied


def _check_row_counts(applied: Applied, pipeline: Pipeline) -> None:
    if applied.accounted != applied.read:
        raise ContractBroken(
            f"{applied.accounted:,} of {applied.read:,} rows were applied: the Silver table {pipeline.silver_table} "
            "holds rows without a _VERSION, which another writer wrote. Nothing was loaded; trigger a full_refresh, "
            "or use another table"
        )
