"""
Connections to the source: each is one REPEATABLE READ, READ ONLY transaction, through ADBC.

ADBC reads a COPY straight into Arrow. Its own DB-API layer is left out: it would import pandas.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import pyarrow as pa

from include.medallion.config.pipeline import Source
from include.medallion.errors import SettingError, Transient

_SQL = Path(__file__).parent / "sql"
_INSUFFICIENT_PRIVILEGE = "42501"
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", "does not exist", "is not permitted to log in")


@contextmanager
def connect(uri: str) -> Iterator[adbc_driver_manager.AdbcConnection]:
    """
    Open a read-only snapshot of the source (libpq URI) and close it at the end.

    Raises:
        SettingError: the server refused the login or has no such database.
        Transient: the server could not be reached.
    """
    with ExitStack() as stack:
        try:
            driver = adbc_driver_postgresql._driver_path()  # noqa: SLF001 (dbapi would import pandas)
            database = stack.enter_context(closing(adbc_driver_manager.AdbcDatabase(driver=driver, uri=uri)))
            connection = stack.enter_context(closing(adbc_driver_manager.AdbcConnection(database)))
        except adbc_driver_manager.Error as e:
            raise _connection_error(e) from None
        begin_snapshot(connection)
        yield connection


def begin_snapshot(connection: adbc_driver_manager.AdbcConnection) -> None:
    """Begin a new snapshot, in the styles that text is read in."""
    execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    fetch_rows(connection, "styles")


def fetch_rows(connection: adbc_driver_manager.AdbcConnection, name: str, **values: object) -> list[dict[str, Any]]:
    """Run a statement of sql/ with literals filled in; for a few rows."""
    sql = (_SQL / f"{name}.sql").read_text().format(**values)
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_sql_query(sql)
        handle, _ = statement.execute_query()
        rows: list[dict[str, Any]] = pa.RecordBatchReader._import_from_c(handle.address).read_all().to_pylist()  # noqa: SLF001
    return rows


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


def _connection_error(error: adbc_driver_manager.Error) -> SettingError | Transient:
    """Say what to check without libpq's own message, which may repeat parts of the URI."""
    said = str(error)
    if any(words in said for words in _REFUSALS):
        return SettingError("Postgres refused the login: check connection `bronze` (login, password, database, pg_hba)")
    return Transient(
        "Postgres cannot be reached: check connection `bronze` (host, port, TLS) and that the server is up"
    )
