"""
A table that stays as it is described until the connection ends.

A rewrite (ALTER TYPE, TRUNCATE and INSERT, a swap of partitions or names) that commits after a snapshot was taken and
before the table is locked leaves that snapshot an empty table: such statements are not MVCC-safe
(https://www.postgresql.org/docs/current/mvcc-caveats.html). So the lock comes before the snapshot. Where LOCK TABLE is
not possible (materialised views, roles that may read some columns only), what the snapshot sees is compared with what
was locked.
"""

from __future__ import annotations

from collections.abc import Callable

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import begin_snapshot, execute, fetch_rows
from include.medallion.bronze.rows import lock_table
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Source
from include.medallion.errors import Transient
from include.medallion.model.columns import quote_identifier, quote_literal

MAX_ATTEMPTS = 5
_NO_LOCK = frozenset({"42501", "42809", "42P01", "3F000"})
"""SQLSTATEs: no right on the whole table, not a table; no such table or schema, which `describe_table` reports."""


def describe_locked(
    connection: adbc_driver_manager.AdbcConnection, source: Source, describe: Callable[[], SourceTable]
) -> SourceTable:
    """
    Lock the table against rewrites, begin a new snapshot, and describe the table in it.

    The lock (ACCESS SHARE, on all partitions) lasts until the connection ends. It also works on a standby.

    Args:
        describe: describes the table in the connection's snapshot.

    Raises:
        SettingError, ContractBroken: as `describe`; or the role may not read the table.
        Transient: the table was replaced again and again meanwhile.
    """
    for _ in range(MAX_ATTEMPTS):
        execute(connection, "COMMIT")
        begin_snapshot(connection, before=lambda: _lock(connection, source))
        table = describe()
        lock_table(connection, source)
        if not _is_replaced(connection, source, table):
            return table
    raise Transient(f"table {source.schema_}.{source.table} was replaced {MAX_ATTEMPTS} times while it was opened")


def _lock(connection: adbc_driver_manager.AdbcConnection, source: Source) -> None:
    """Lock the table before the transaction takes its snapshot, where that is possible."""
    execute(connection, "SAVEPOINT locking")
    try:
        execute(connection, f"LOCK TABLE {_name(source)} IN ACCESS SHARE MODE")
    except adbc_driver_manager.Error as e:
        if e.sqlstate not in _NO_LOCK:
            raise
        execute(connection, "ROLLBACK TO SAVEPOINT locking")


def _is_replaced(connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable) -> bool:
    found = fetch_rows(connection, "replaced", relation=table.relation, qualified=quote_literal(_name(source)))
    return bool(found[0]["replaced"])


def _name(source: Source) -> str:
    return f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
