"""Rows of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze.postgres.connection import execute, fetch_rows, read_error
from include.medallion.bronze.table import SourceTable
from include.medallion.bronze.xid import XidEpoch
from include.medallion.config.sections.tables import Source
from include.medallion.errors import SchemaChanged, Transient
from include.medallion.model.columns import COMMENT_KEY, OP, UPSERT, VERSION, Column, quote_identifier
from include.medallion.model.types.ranges import OutOfRange, bring_into_range
from include.medallion.model.values.encoding import mark_invalid
from include.medallion.model.values.masks import mask_sql, mask_values
from include.medallion.model.window import Mode, Window

BATCH_BYTES = 16 << 20  # of COPY data per record batch: the unit that memory is bounded by
SECONDS_TO_LOCK = 1
_LOCK_NOT_AVAILABLE, _UNDEFINED_COLUMN = "55P03", "42703"


def lock_table(connection: adbc_driver_manager.AdbcConnection, source: Source) -> None:
    """
    Keep the table's files from being rewritten until the connection ends.

    Raises:
        SettingError: the role may not read the table.
    """
    try:
        execute(connection, f"SELECT FROM {quote_identifier(source.schema_)}.{quote_identifier(source.table)} LIMIT 0")
    except adbc_driver_manager.Error as e:
        raise read_error(e, source) from None


def try_lock(connection: adbc_driver_manager.AdbcConnection, source: Source) -> bool:
    """
    Lock the table as `lock_table` does; return whether that was possible soon. If not, the connection is of no use.

    Raises:
        SettingError: the role may not read the table.
    """
    execute(connection, f"SET LOCAL lock_timeout = '{SECONDS_TO_LOCK}s'")
    try:
        lock_table(connection, source)
    except adbc_driver_manager.Error as e:
        if e.sqlstate != _LOCK_NOT_AVAILABLE:
            raise
        return False
    execute(connection, "SET LOCAL lock_timeout TO DEFAULT")
    return True


def has_values_before(
    connection: adbc_driver_manager.AdbcConnection, source: Source, column: str, window: Window
) -> bool:
    """
    Return whether rows that were written before a window began have values in a column.

    Raises:
        SettingError: the role may not read the table.
        SchemaChanged: the column was renamed or dropped since the table was described.
    """
    now = fetch_rows(connection, "moment")[0]
    before = XidEpoch.read(now["xmax"], now["age_of_3"]).window_condition(replace(window, after=0, upto=window.after))
    table = f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
    try:
        found = fetch_rows(connection, "older_values", table=table, column=quote_identifier(column), condition=before)
    except adbc_driver_manager.Error as e:
        if e.sqlstate == _UNDEFINED_COLUMN:
            raise SchemaChanged(
                f"the source's schema changed while batch {window.batch_id} was starting: a column was renamed or "
                "dropped. Nothing was written; the next run takes the change into account"
            ) from None
        raise read_error(e, source) from None
    return bool(found[0]["found"])


def read_rows(
    connection: adbc_driver_manager.AdbcConnection,
    source: Source,
    table: SourceTable,
    window: Window,
    condition: str = "true",
) -> Iterator[pa.RecordBatch]:
    """
    Stream the rows of a window, in no order.

    A version is at most `upto`: a full refresh also reads rows above it, and a transaction that was still open when
    the window was opened may rewrite them, under a lower id than theirs. That write must pass the fence.

    Args:
        condition: SQL that rows meet besides, and besides `source.where`.

    Yields record batches of about `BATCH_BYTES` with the table's columns (as
    `Column.read_type`), `_version` (int64: the transaction id that wrote the
    row) and `_op`. Memory holds one batch at a time.

    Raises:
        SettingError: the role may not read the table, or not all of its rows.
        Transient: this server (a replica) has not come as far as the one that the window was opened on.
    """
    now = fetch_rows(connection, "moment")[0]
    if window.mode is not Mode.REFRESH and now["xmin"] < window.upto:
        raise Transient("this Postgres lags behind the one that the window was opened on: use one server, not several")
    clock, schema = XidEpoch.read(now["xmax"], now["age_of_3"]), raw_schema(table.columns, table.comment)
    sql = select_sql(source, table.columns, clock, window, condition)
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        statement.set_sql_query(sql)
        try:
            handle, _ = statement.execute_query()
        except adbc_driver_manager.Error as e:
            raise read_error(e, source) from None
        with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001
            read = (_with_versions(batch, clock, window, schema) for batch in reader if batch.num_rows)
            yield from (mask_rows(batch, table.columns) for batch in read)


def _with_versions(batch: pa.RecordBatch, clock: XidEpoch, window: Window, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch whose last column is `age(xmin)` as `read` yields it."""
    versions = clock.versions(batch.columns[-1], window.upto)
    operations = pa.repeat(UPSERT, batch.num_rows)
    return pa.RecordBatch.from_arrays([*batch.columns[:-1], versions, operations], schema=schema)


def mask_rows(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> pa.RecordBatch:
    """Return a batch with the masks that PostgreSQL has not applied, and values out of range made fit."""
    if any(column.any_bytes for column in columns):
        marked = [mark_invalid(array) for array in batch.columns]
        batch = pa.RecordBatch.from_arrays(marked, schema=batch.schema)
    if all((c.mask is None or c.mask.is_sql) and c.out_of_range is OutOfRange.QUARANTINE for c in columns):
        return batch
    values = ((c, mask_values(c.mask, batch.column(c.name))) for c in columns)
    masked = [bring_into_range(array, column.out_of_range) for column, array in values]
    return pa.RecordBatch.from_arrays([*masked, *batch.columns[len(columns) :]], schema=batch.schema)


def raw_schema(columns: tuple[Column, ...], comment: str = "") -> pa.Schema:
    """
    Return the schema of what `read` yields: also that of the raw staged parts.

    Args:
        comment: of the table.
    """
    fields = [c.read_field for c in columns]
    about = {COMMENT_KEY: comment} if comment else None
    return pa.schema([*fields, pa.field(VERSION, pa.int64()), pa.field(OP, pa.string())], about)


def select_sql(
    source: Source, columns: tuple[Column, ...], clock: XidEpoch, window: Window, condition: str = "true"
) -> str:
    """Return the statement that reads a window: the columns, and last `age(xmin)`."""
    limit = f" LIMIT {window.max_rows:d}" if window.max_rows is not None else ""
    chosen_rows = f" AND (\n{source.where}\n)" if source.where else ""
    where = f"({clock.window_condition(window)}) AND ({condition}){chosen_rows}"
    return (
        f"SELECT {select_list(columns)}, age(xmin) "  # noqa: S608
        f"FROM {quote_identifier(source.schema_)}.{quote_identifier(source.table)} WHERE {where}{limit}"
    )


def select_list(columns: tuple[Column, ...]) -> str:
    """Return the SQL of columns as they are read."""
    return ", ".join(_selected(c) for c in columns)


def _selected(column: Column) -> str:
    name, source = quote_identifier(column.name), quote_identifier(column.source_name or column.name)
    cast = f"{source}::pg_catalog.{column.cast}" if column.cast else source
    read = f"{cast}::text" if column.as_text else source
    return f"{mask_sql(column.mask, read) if column.mask else read} AS {name}"
