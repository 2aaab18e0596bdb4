"""
The replication slot of a pipeline: it keeps the log until all sinks hold what is in it.

A slot belongs to one pipeline of one lake, so that two deployments never advance each other's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import begin_snapshot, execute, fetch_rows, read_sql
from include.medallion.config.sections.tables import Source
from include.medallion.errors import SettingError, Transient
from include.medallion.model.columns import quote_literal
from include.medallion.model.log_range import lsn_text

PLUGIN = "pgoutput"
MEGABYTE = 1 << 20
ATTEMPTS, SECONDS_BETWEEN = 100, 0.1
"""How long a slot is waited for that another session uses."""
_FAILOVER_VERSION = 170_000
_SECONDS_TO_CREATE = 10  # creating waits for transactions that are open
_NO_RIGHT, _LIMIT, _IN_USE, _TIMEOUT = "42501", "53400", "55006", "57014"


@dataclass(frozen=True, slots=True)
class Slot:
    """
    A slot as the source describes it.

    Args:
        confirmed: position up to which the sinks hold everything.
        retained: bytes of the log that the source keeps for it.
        lost: the source no longer has all of that.
        readable: position up to which the log can be read and the slot advanced at once: the standbys that
            `synchronized_standby_slots` names have received it, and the server waits without a limit for any other.
    """

    name: str
    confirmed: int
    retained: int
    lost: bool
    active: bool
    readable: int


def find_slots(connection: adbc_driver_manager.AdbcConnection, prefix: str) -> list[Slot]:
    """Return the slots whose name begins with this."""
    pattern = prefix.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%") + "%"
    rows = fetch_rows(connection, "slot", pattern=quote_literal(pattern), readable=read_sql("readable"))
    return [
        Slot(r["name"], r["confirmed"], r["retained"], r["lost"] or r["plugin"] != PLUGIN, r["active"], r["readable"])
        for r in rows
    ]


def find_slot(connection: adbc_driver_manager.AdbcConnection, name: str) -> Slot | None:
    """Return the slot of this name; None if there is none."""
    return next((slot for slot in find_slots(connection, name) if slot.name == name), None)


def create_slot(connection: adbc_driver_manager.AdbcConnection, source: Source, name: str) -> Slot | None:
    """
    Create a slot; a new snapshot begins.

    It is kept on standbys that synchronise slots (PostgreSQL 17), so that it survives a failover.

    Returns:
        None if transactions that are open for longer than some seconds prevent it.

    Raises:
        SettingError: the role may not, or the server has no slot left.
    """
    about = fetch_rows(connection, "log_source", **_NOTHING)[0]
    failover = ", failover => true" if about["version"] >= _FAILOVER_VERSION and not about["standby"] else ""
    call = f"pg_create_logical_replication_slot({quote_literal(name)}, {quote_literal(PLUGIN)}{failover})"
    execute(connection, "COMMIT")
    execute(connection, f"SET statement_timeout = '{_SECONDS_TO_CREATE}s'")
    try:
        execute(connection, f"SELECT pg_catalog.{call}")
    except adbc_driver_manager.Error as e:
        if e.sqlstate != _TIMEOUT:
            raise slot_error(e, source) from None
    execute(connection, "RESET statement_timeout")
    begin_snapshot(connection)
    return find_slot(connection, name)


_NOTHING = dict.fromkeys(("schema", "table", "publication", "separator"), "''")


def advance_slot(connection: adbc_driver_manager.AdbcConnection, source: Source, name: str, position: int) -> None:
    """
    Let the source forget the log up to a position.

    A slot that is gone or further already stays as it is. So does one whose changes a standby has still to receive: a
    later run advances it.

    Raises:
        SettingError: the role may not.
        Transient: another session uses the slot.
    """
    slot = find_slot(connection, name)
    if slot is None or slot.lost or slot.confirmed >= position or slot.readable < position:
        return
    where = f"{quote_literal(name)}, {quote_literal(lsn_text(position))}"
    _execute(connection, source, f"SELECT pg_catalog.pg_replication_slot_advance({where})")


def drop_slot(connection: adbc_driver_manager.AdbcConnection, source: Source, name: str) -> None:
    """
    Drop a slot; one that is gone already is no failure.

    Raises:
        SettingError: the role may not.
        Transient: another session uses the slot.
    """
    if find_slot(connection, name) is None:
        return
    _execute(connection, source, f"SELECT pg_catalog.pg_drop_replication_slot({quote_literal(name)})")


def _execute(connection: adbc_driver_manager.AdbcConnection, source: Source, sql: str) -> None:
    """Run a statement on a slot; one that another session uses for a moment, such as a watcher, is waited for."""
    for waited in range(ATTEMPTS):
        try:
            execute(connection, sql)
        except adbc_driver_manager.Error as e:
            if e.sqlstate != _IN_USE or waited == ATTEMPTS - 1:
                raise slot_error(e, source) from None
            time.sleep(SECONDS_BETWEEN)
            execute(connection, "ROLLBACK")
            begin_snapshot(connection)
        else:
            return


def slot_error(error: adbc_driver_manager.Error, source: Source) -> Exception:
    """Return what to raise for an error of a statement on slots."""
    if error.sqlstate == _NO_RIGHT:
        return SettingError(
            f"the role of connection `{source.connection}` may not use replication slots: ALTER ROLE ... REPLICATION "
            "(RDS: GRANT rds_replication), see deploy/sql/bronze_log_role.sql, or set read: xmin"
        )
    if error.sqlstate == _LIMIT:
        return SettingError(
            f"the server of connection `{source.connection}` has no replication slot left: raise "
            "max_replication_slots, drop unused slots, or set read: xmin"
        )
    if error.sqlstate == _IN_USE:
        return slot_in_use(source)
    return error


def slot_in_use(source: Source) -> Transient:
    """Return the failure for a slot that another session reads."""
    return Transient(f"another session uses the replication slot of connection `{source.connection}`")
