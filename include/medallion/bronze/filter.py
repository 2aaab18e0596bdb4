"""Row filters (`source.where`, the condition of a reload), checked against the table before any row is read."""

from __future__ import annotations

from collections.abc import Collection

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import execute, read_error
from include.medallion.config.checks.expressions import columns_of
from include.medallion.config.sections.tables import Source
from include.medallion.errors import SettingError
from include.medallion.model.columns import quote_identifier

_WRONG = ("22", "42")
"""
Classes of the SQLSTATEs of a statement with a literal of another type, or that is wrong otherwise
(https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""


def check_filter(connection: adbc_driver_manager.AdbcConnection, source: Source, columns: Collection[str]) -> None:
    """
    Check that PostgreSQL accepts the row filter; it reads no row.

    Args:
        columns: names of the table's columns.

    Raises:
        SettingError: the filter names a column that is not there, or is not a condition of these columns' types.
    """
    if source.where is None:
        return
    if unknown := [name for name in columns_of(source.where, "postgres") if name not in columns]:
        raise SettingError(f"source.where names columns that the table does not have: {unknown}")
    check_accepted(connection, source, source.where, "source.where")


def check_accepted(
    connection: adbc_driver_manager.AdbcConnection, source: Source, condition: str, setting: str
) -> None:
    """
    Check that PostgreSQL accepts a condition; it reads no row.

    Args:
        setting: name of the condition, for messages.

    Raises:
        SettingError: the condition is wrong for this table.
    """
    table = f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
    try:
        execute(connection, f"SELECT FROM {table} WHERE (\n{condition}\n) LIMIT 0")
    except adbc_driver_manager.Error as e:
        error = read_error(e, source)
        if error is not e or not (e.sqlstate or "").startswith(_WRONG):
            raise error from None
        raise SettingError(
            f"{setting} is refused by PostgreSQL (SQLSTATE {e.sqlstate}): write a condition that is true or false, "
            "and compare values of the same type"
        ) from None
