"""
The source: one Postgres table, read by transaction id as a stream of Arrow record batches.

Needs no right but SELECT on the table, no DDL, no slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze_connection import execute, rows
from include.medallion.clock import Clock
from include.medallion.errors import ContractBroken, SettingError, Transient
from include.medallion.pipeline import Pipeline, Source
from include.medallion.schema import OP, VERSION, Column, literal, quoted, source_column
from include.medallion.window import Mode, Window

UPSERT = "upsert"
_SEPARATOR = "\x1f"
_KINDS = {"r": "table", "p": "partitioned table", "m": "materialised view"}
_NO_RIGHT = "42501"
BATCH_BYTES = 16 << 20  # of COPY data per record batch: the unit that memory is bounded by


@dataclass(frozen=True, slots=True)
class SourceTable:
    """What the catalogue says of the table."""

    identity: str
    relation: int
    rows: float  # the planner's estimate; -1 when it has none
    columns: tuple[Column, ...]


def describe(connection: adbc_driver_manager.AdbcConnection, source: Source) -> SourceTable:
    """
    Look the table up and check what the pipeline promises of it.

    Raises:
        SettingError: no such table, or columns that the pipeline names are missing.
        ContractBroken: its kind has no transaction ids, or its key is not unique.
    """
    where = f"source {source.schema_}.{source.table}"
    found = rows(connection, "bronze_table", schema=literal(source.schema_), table=literal(source.table))
    if not found:
        raise SettingError(f"{where} does not exist or cannot be seen: check source.schema, source.table and the role")
    table = found[0]
    if table["kind"] not in _KINDS:
        raise ContractBroken(f"{where} is no table (kind {table['kind']!r}): rows of views carry no transaction id")
    if table["kind"] == "r" and table["has_children"]:
        raise ContractBroken(f"{where} has tables that inherit from it, over which no key is unique: use partitions")
    columns = _columns(connection, table["relation"], source)
    _check_key(connection, table["relation"], source, where)
    return SourceTable(table["identity"], table["relation"], table["rows"], columns)


def _columns(connection: adbc_driver_manager.AdbcConnection, relation: int, source: Source) -> tuple[Column, ...]:
    found = rows(connection, "bronze_columns", relation=relation)
    if unknown := set(source.exclude) - {r["name"] for r in found}:
        raise SettingError(f"source.exclude names columns that the table has not: {sorted(unknown)}")
    return tuple(source_column(r["name"], r["typname"], r["typmod"]) for r in found if r["name"] not in source.exclude)


def check_columns(pipeline: Pipeline, table: SourceTable) -> None:
    """
    Check that the columns the pipeline reads are there.

    Raises:
        SettingError: names the missing ones and those there are.
    """
    there = {c.name for c in table.columns}
    if missing := [c for c in [*pipeline.source.key, *pipeline.enrichment_columns] if c not in there]:
        raise SettingError(f"pipeline {pipeline.name} names columns {missing}, but the table has {sorted(there)}")


def _check_key(connection: adbc_driver_manager.AdbcConnection, relation: int, source: Source, where: str) -> None:
    found = rows(connection, "bronze_keys", relation=relation, separator=literal(_SEPARATOR))
    unique = [set(r["columns"].split(_SEPARATOR)) for r in found]
    if not any(columns <= set(source.key) for columns in unique):
        raise ContractBroken(
            f"{where}: key {source.key} is not unique: no primary key or unique index covers it. Set source.key to one "
            f"of {sorted(sorted(u) for u in unique)}, or add a primary key"
        )


def lock(connection: adbc_driver_manager.AdbcConnection, source: Source) -> None:
    """
    Keep the table's files from being written anew until the connection ends.

    Raises:
        SettingError: the role may not read the table.
    """
    try:
        execute(connection, f"SELECT FROM {quoted(source.schema_)}.{quoted(source.table)} LIMIT 0")
    except adbc_driver_manager.Error as e:
        raise _reading_failure(e, source) from None


def read(
    connection: adbc_driver_manager.AdbcConnection,
    source: Source,
    table: SourceTable,
    window: Window,
    condition: str = "true",
) -> Iterator[pa.RecordBatch]:
    """
    Stream the rows of a window, in no order.

    A version is at most `upto`: a full refresh also reads rows above it, and a transaction that was still open when
    the window was opened may write them anew, under a lower id than theirs. That write must pass the fence.

    Args:
        condition: SQL that rows meet besides.

    Yields record batches of about `BATCH_BYTES` with the table's columns (as
    `Column.read_type`), `_version` (int64: the transaction id that wrote the
    row) and `_op`. Memory holds one batch at a time.

    Raises:
        SettingError: the role may not read the table, or not all of its rows.
        Transient: this server (a replica) has not come as far as the one that the window was opened on.
    """
    now = rows(connection, "bronze_moment")[0]
    if window.mode is not Mode.REFRESH and now["xmin"] < window.upto:
        raise Transient("this Postgres lags behind the one that the window was opened on: use one server, not several")
    clock, schema = Clock.read(now["xmax"], now["age_of_3"]), read_schema(table.columns)
    sql = select_sql(source, table.columns, clock, window, condition)
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        statement.set_sql_query(sql)
        try:
            handle, _ = statement.execute_query()
        except adbc_driver_manager.Error as e:
            raise _reading_failure(e, source) from None
        with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001
            yield from (_versioned(batch, clock, window, schema) for batch in reader if batch.num_rows)


def _versioned(batch: pa.RecordBatch, clock: Clock, window: Window, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch whose last column is `age(xmin)` as `read` yields it."""
    versions = clock.versions(batch.columns[-1], window.upto)
    operations = pa.repeat(UPSERT, batch.num_rows)
    return pa.RecordBatch.from_arrays([*batch.columns[:-1], versions, operations], schema=schema)


def read_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of what `read` yields: also that of the raw staged parts."""
    fields = [c.read_field for c in columns]
    return pa.schema([*fields, pa.field(VERSION, pa.int64()), pa.field(OP, pa.string())])


def select_sql(
    source: Source, columns: tuple[Column, ...], clock: Clock, window: Window, condition: str = "true"
) -> str:
    """Return the statement that reads a window: the columns, and last `age(xmin)`."""
    chosen = [f"{quoted(c.name)}::text AS {quoted(c.name)}" if c.as_text else quoted(c.name) for c in columns]
    limit = f" LIMIT {window.max_rows:d}" if window.max_rows is not None else ""
    where = f"({clock.where_sql(window)}) AND ({condition})"
    return (
        f"SELECT {', '.join(chosen)}, age(xmin) "  # noqa: S608
        f"FROM {quoted(source.schema_)}.{quoted(source.table)} WHERE {where}{limit}"
    )


def _reading_failure(error: adbc_driver_manager.Error, source: Source) -> Exception:
    if error.sqlstate != _NO_RIGHT:
        return error
    return SettingError(
        f"the role of connection `{source.connection}` may not read table {source.schema_}.{source.table}, or not "
        "all of it: GRANT USAGE on the schema and GRANT SELECT on the table; where a policy hides rows, BYPASSRLS"
    )
