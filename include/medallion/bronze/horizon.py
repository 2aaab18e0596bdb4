"""The horizon of the source: the oldest transaction id that may still write rows, once no crash can take it back."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import begin_snapshot, execute, fetch_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.errors import Transient
from include.medallion.model.window import SourceSnapshot

SECONDS_BEFORE_TRIGGER, SECONDS_TO_FLUSH = 0.1, 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FEATURE_NOT_SUPPORTED = "0A000"  # by servers that keep their log elsewhere


def read_horizon(connection: adbc_driver_manager.AdbcConnection, table: SourceTable) -> SourceSnapshot:
    """
    Return the horizon of the snapshot this connection reads in, once no crash of the source can take it back.

    What is read afterwards may be of a later snapshot.
    """
    snapshot = read_snapshot(connection, table)
    lsn = wait_for_wal_flush(connection) or int(fetch_rows(connection, "log_end")[0]["position"])
    return replace(snapshot, lsn=lsn)


def read_snapshot(connection: adbc_driver_manager.AdbcConnection, table: SourceTable) -> SourceSnapshot:
    """Return the transaction ids of the connection's snapshot, which a crash of the source may take back."""
    row = fetch_rows(connection, "moment")[0]
    clock = _EPOCH + timedelta(microseconds=row["clock"])
    return SourceSnapshot(table.identity, row["xmin"], row["xmax"], clock)


def wait_for_wal_flush(connection: adbc_driver_manager.AdbcConnection) -> int:
    """
    Wait until all that the source has logged is on its disk: at most some tenths of a second.

    What a crash forgets (rollbacks above all: nobody waits for those to be written) leaves its transaction ids to
    others. Rows would appear below a horizon that a sink already holds. May begin a new snapshot.

    Returns:
        The position of the log up to which it waited; 0 from a server that does not say.

    Raises:
        Transient: it takes half a minute.
    """
    logged = _insert_position(connection)
    if not _is_flushed(connection, logged, SECONDS_BEFORE_TRIGGER):
        _trigger_flush(connection)
        if not _is_flushed(connection, logged, SECONDS_TO_FLUSH):
            raise Transient("Postgres does not write its log to disk: check the server")
    return logged


def _insert_position(connection: adbc_driver_manager.AdbcConnection) -> int:
    """Return how far the log reaches; 0 from a server that does not say."""
    execute(connection, "SAVEPOINT asking")
    try:
        return int(fetch_rows(connection, "logged")[0]["position"])
    except adbc_driver_manager.Error as e:
        if e.sqlstate != _FEATURE_NOT_SUPPORTED:
            raise
        execute(connection, "ROLLBACK TO SAVEPOINT asking")
        return 0


def _is_flushed(connection: adbc_driver_manager.AdbcConnection, logged: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while logged and fetch_rows(connection, "flushed")[0]["position"] < logged:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _trigger_flush(connection: adbc_driver_manager.AdbcConnection) -> None:
    """Take a transaction id and give it back: that writes nothing, and wakes the process that flushes the log."""
    for statement in ("COMMIT", "BEGIN READ WRITE", "SELECT pg_catalog.pg_current_xact_id()", "ROLLBACK"):
        execute(connection, statement)
    begin_snapshot(connection)
