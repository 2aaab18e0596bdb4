"""The changes of a window in the log: peeked at, never consumed, so that a retry finds the same."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze.log.pgoutput import KeyCollector, Undecodable
from include.medallion.bronze.log.slot import ATTEMPTS, SECONDS_BETWEEN, Slot, find_slot, slot_in_use
from include.medallion.bronze.postgres.connection import execute, fetch_rows
from include.medallion.bronze.rows import BATCH_BYTES
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import quote_identifier, quote_literal
from include.medallion.model.log_range import LogRange, lsn_text

_BUSY = "is active for PID"
STANDBY_ATTEMPTS = 30
"""How often it is looked whether standbys have received the log; those that work have after some milliseconds."""
_XIDS = 1 << 32


class LogLost(Exception):
    """The source no longer has the changes of a window, or cannot decode them: the message says why."""


def collect_keys(
    connection: adbc_driver_manager.AdbcConnection, source: Source, relation: int, span: LogRange
) -> KeyCollector | None:
    """
    Collect the keys of the rows that changed in a range of the log.

    Args:
        connection: its transaction stays usable if this fails.
        relation: the table's oid.

    Returns:
        None if the slot has been advanced since the window was opened: all sinks hold its changes.

    Raises:
        LogLost: the slot is gone or was invalidated, the changes cannot be decoded, or a standby has to receive them.
        Transient: another session uses the slot.
    """
    for _ in range(ATTEMPTS):
        slot = _find_readable(connection, span)
        if slot.confirmed > span.after:
            return None
        execute(connection, "SAVEPOINT log")
        try:
            return _collect(connection, source, relation, span)
        except Undecodable as e:
            raise LogLost(f"the log cannot be decoded ({e})") from None
        except (adbc_driver_manager.Error, OSError, pa.ArrowException) as e:
            execute(connection, "ROLLBACK TO SAVEPOINT log")
            if _BUSY not in str(e):
                raise LogLost("the server cannot decode the log from this slot") from None
            time.sleep(SECONDS_BETWEEN)
    raise slot_in_use(source)


def _find_readable(connection: adbc_driver_manager.AdbcConnection, span: LogRange) -> Slot:
    """Return the slot of a range once the range can be read; a standby that is down is not waited for."""
    for _ in range(STANDBY_ATTEMPTS):
        slot = find_slot(connection, span.slot)
        if slot is None or slot.lost:
            raise LogLost("the replication slot was dropped or invalidated")
        if slot.confirmed > span.after or slot.readable >= span.upto:
            return slot
        time.sleep(SECONDS_BETWEEN)
    raise LogLost("a standby that synchronized_standby_slots names has not received the log")


def check_visible(connection: adbc_driver_manager.AdbcConnection, transactions: Collection[int]) -> None:
    """
    Check that the snapshot of a connection sees transactions whose commit is in the log.

    A commit is in the log first. With a synchronous standby it stays invisible until the standby has confirmed it.

    Args:
        transactions: their ids, of 32 bits.

    Raises:
        LogLost: it does not see one: its rows would seem to be as they were before, or deleted.
    """
    now = fetch_rows(connection, "in_progress")[0]
    running = {xid % _XIDS for xid in now["running"]}
    if any(xid in running or (xid - now["xmax"]) % _XIDS < _XIDS // 2 for xid in transactions):
        raise LogLost("a commit is in the log but not visible yet, because a synchronous standby has not confirmed it")


def _collect(
    connection: adbc_driver_manager.AdbcConnection, source: Source, relation: int, span: LogRange
) -> KeyCollector:
    collector, refused = KeyCollector(relation, source.key), None
    for messages in _peek(connection, source, span):
        try:
            if refused is None:
                collector.feed(messages.to_pylist())
        except Undecodable as e:
            refused = e  # the connection can be used again once all is read
    if refused:
        raise refused
    return collector


def _peek(connection: adbc_driver_manager.AdbcConnection, source: Source, span: LogRange) -> Iterator[pa.Array]:
    """Stream the messages of a range."""
    options = f"'proto_version', '1', 'publication_names', {quote_literal(quote_identifier(source.publication_name))}"
    where = f"{quote_literal(span.slot)}, {quote_literal(lsn_text(span.upto))}, NULL, {options}"
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        statement.set_sql_query(f"SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({where})")  # noqa: S608
        handle, _ = statement.execute_query()
        with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001
            for batch in reader:
                yield batch.column(0)
