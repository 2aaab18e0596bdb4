"""
Connections to the source: each is one REPEATABLE READ, READ ONLY transaction, through ADBC.

ADBC reads a COPY straight into Arrow. Its own DB-API layer is left out: it would import pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import pyarrow as pa

from include.medallion.bronze.postgres.failures import connection_failure, read_failure
from include.medallion.config.sections.tables import Source
from include.medallion.errors import SettingError

_SQL = Path(__file__).parents[1] / "sql"
_INSUFFICIENT_PRIVILEGE = "42501"
_UNREADABLE = {_INSUFFICIENT_PRIVILEGE, "42P01", "3F000"}  # no right, no such table, no such schema
_STREAM = ("[libpq]", "PQ")
_OPTIONS = {"adbc.postgresql.type_resolver_mode": "builtin"}
"""
Know PostgreSQL's own types only; all others are read as text. By default the driver reads every column of the database
with each connection: 36 ms of an empty database (https://github.com/apache/arrow-adbc/issues/1755).
"""
MIN_VERSION = 13
"""Major version of the oldest server that has what is asked: pg_current_snapshot and 64-bit transaction ids."""


@contextmanager
def connect(uri: str, name: str = "bronze") -> Iterator[adbc_driver_manager.AdbcConnection]:
    """
    Open a read-only snapshot of the source and close it at the end.

    Args:
        uri: as libpq takes it.
        name: of the connection, for messages.

    Raises:
        SettingError: the server refused the login, has no such database, or is too old.
        Transient: the server could not be reached, or ended a read: timeouts, recovery conflicts, restarts.
    """
    with ExitStack() as stack:
        try:
            driver = adbc_driver_postgresql._driver_path()  # noqa: SLF001 (dbapi would import pandas)
            database = stack.enter_context(
                closing(adbc_driver_manager.AdbcDatabase(driver=driver, uri=uri, **_OPTIONS))
            )
            connection = stack.enter_context(closing(adbc_driver_manager.AdbcConnection(database)))
        except adbc_driver_manager.Error as e:
            raise connection_failure(name, str(e)) from None
        with _known_failures(name):
            _check_version(name, fetch_rows(connection, "version")[0]["version"])
            begin_snapshot(connection)
            yield connection


@contextmanager
def _known_failures(name: str) -> Iterator[None]:
    """Raise what the source reports as a failure that says what to check; let everything else through."""
    try:
        yield
    except adbc_driver_manager.Error as e:
        failure = read_failure(name, e.sqlstate, str(e))
        if failure is None:
            raise
        raise failure.with_traceback(e.__traceback__) from None
    except (OSError, pa.ArrowException) as e:  # how a stream of rows ends that libpq breaks off
        failure = read_failure(name, None, str(e)) if str(e).startswith(_STREAM) else None
        if failure is None:
            raise
        raise failure.with_traceback(e.__traceback__) from None


def _check_version(name: str, version: int) -> None:
    if version < MIN_VERSION * 10_000:
        raise SettingError(
            f"the server of connection `{name}` is PostgreSQL {version // 10_000}, or says so: Medallion needs "
            f"{MIN_VERSION} or newer"
        )


def begin_snapshot(connection: adbc_driver_manager.AdbcConnection, before: Callable[[], None] = lambda: None) -> None:
    """
    Begin a new snapshot, in the styles that text is read in.

    Args:
        before: called in the transaction before it takes its snapshot.
    """
    execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    before()
    fetch_rows(connection, "styles")


def renew_snapshot(connection: adbc_driver_manager.AdbcConnection) -> None:
    """End the connection's transaction and begin another, which sees what was committed meanwhile."""
    execute(connection, "COMMIT")
    begin_snapshot(connection)


def fetch_rows(connection: adbc_driver_manager.AdbcConnection, name: str, **values: object) -> list[dict[str, Any]]:
    """Run a statement of sql/ with literals filled in; for a few rows."""
    return fetch_sql(connection, read_sql(name).format(**values))


def read_sql(name: str) -> str:
    """Return a statement of sql/, or a part of several."""
    return (_SQL / f"{name}.sql").read_text()


def fetch_sql(connection: adbc_driver_manager.AdbcConnection, sql: str) -> list[dict[str, Any]]:
    """Run a statement that returns a few rows."""
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_sql_query(sql)
        handle, _ = statement.execute_query()
        rows: list[dict[str, Any]] = pa.RecordBatchReader._import_from_c(handle.address).read_all().to_pylist()  # noqa: SLF001
    return rows


def fetch_table(connection: adbc_driver_manager.AdbcConnection, sql: str, setting: str) -> pa.Table:
    """
    Run a statement on a table that a setting names, and return its rows.

    Raises:
        SettingError: there is no such table, or the role may not read it.
    """
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_sql_query(sql)
        try:
            handle, _ = statement.execute_query()
            table: pa.Table = pa.RecordBatchReader._import_from_c(handle.address).read_all()  # noqa: SLF001
        except adbc_driver_manager.Error as e:
            if e.sqlstate not in _UNREADABLE:
                raise
            raise SettingError(
                f"{setting}: the source's database has no such table, or its role may not read it: write schema.table, "
                "and GRANT SELECT on it"
            ) from None
    return table


def execute(connection: adbc_driver_manager.AdbcConnection, sql: str) -> None:
    """Run a statement that answers nothing."""
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_sql_query(sql)
        statement.execute_update()


def read_error(error: adbc_driver_manager.Error, source: Source) -> Exception:
    """Return what to raise for an error of a statement that reads the table: what to grant, if a right is missing."""
    if error.sqlstate != _INSUFFICIENT_PRIVILEGE:
        return error
    return SettingError(
        f"the role of connection `{source.connection}` may not read table {source.schema_}.{source.table}, or not "
        "all of it: GRANT USAGE on the schema and GRANT SELECT on the table; where a policy hides rows, BYPASSRLS"
    )
