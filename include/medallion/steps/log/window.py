"""
Decide whether a run reads the log, and from where; a run that cannot reads by transaction id.

A lost slot loses nothing but deletes, which the next reconcile finds: the sinks' positions say what to read instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.medallion.bronze.log.checks import check_log_source
from include.medallion.bronze.log.slot import MEGABYTE, Slot, create_slot, drop_slot, find_slot
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lake.object_store import Lake
from include.medallion.model.log_range import LogRange, slot_name
from include.medallion.model.window import Mode, Position, Window
from include.medallion.staging.archive import read_window
from include.medallion.staging.records.log_position import (
    LogPosition,
    find_log_read,
    read_log_position,
    record_log_position,
)

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection

DECODED_BYTES_PER_SECOND, SCANNED_BYTES_PER_SECOND = 50 << 20, 300 << 20
"""About how fast PostgreSQL 18 decodes its log (194 MB of changes in 4 s, on two cores), and scans a cached table."""
WORTH_DECODING, MIN_SECONDS = 4, 60
"""Decoding is given up if it would take longer than a minute, and so many times as long as a scan."""
_LATER = "deletes since the last run are found by the next reconcile"


@dataclass(frozen=True)
class OpenedLog:
    """
    The slot before the window's snapshot is taken.

    Args:
        position: where the log goes on; None if no slot could be created.
        why: why changes are missing in the slot; empty if none are.
    """

    slot: Slot | None
    position: LogPosition | None
    why: str = ""


def open_log(pipeline: Pipeline, connections: Connections, table: SourceTable, connection: AdbcConnection) -> OpenedLog:
    """
    Find the pipeline's slot, or create it; drop one that is lost or keeps too much of the log.

    Args:
        connection: a new snapshot begins in it.

    Raises:
        SettingError, ContractBroken: as `check_log_source` and `create_slot`.
        Transient: another session uses a slot that is to be dropped.
    """
    source, name = pipeline.source, slot_name(pipeline.name, connections.lake.root)
    check_log_source(connection, source, table)
    slot, known = find_slot(connection, name), read_log_position(connections.lake, pipeline.name)
    why = _reason_to_drop(connection, pipeline, table, slot)
    if slot and not why:
        if known and (known.slot, known.source) == (name, table.identity) and slot.confirmed <= known.lsn:
            return OpenedLog(slot, known)
        begun = _begin(connection, pipeline, connections, table, slot)
        return OpenedLog(slot, begun, "the replication slot was advanced by others, or is of another table")
    drop_slot(connection, source, name)
    slot = create_slot(connection, source, name)
    if slot is None:
        return OpenedLog(None, None, "no replication slot could be created while a transaction stays open")
    return OpenedLog(slot, _begin(connection, pipeline, connections, table, slot), why or "the replication slot is new")


def _reason_to_drop(connection: AdbcConnection, pipeline: Pipeline, table: SourceTable, slot: Slot | None) -> str:
    if slot is None:
        return ""
    if slot.lost:
        return "the replication slot was invalidated"
    if slot.retained > pipeline.source.max_slot_lag_mb * MEGABYTE:
        return f"the source kept {slot.retained // MEGABYTE:,} MB of its log, more than max_slot_lag_mb"
    decoding = slot.retained / DECODED_BYTES_PER_SECOND
    if decoding < MIN_SECONDS:
        return ""
    size = fetch_rows(connection, "table_size", relation=table.relation)[0]["bytes"]
    if decoding > WORTH_DECODING * size / SCANNED_BYTES_PER_SECOND:
        return f"decoding {slot.retained // MEGABYTE:,} MB of the log would take longer than a scan of the table"
    return ""


def _begin(
    connection: AdbcConnection, pipeline: Pipeline, connections: Connections, table: SourceTable, slot: Slot
) -> LogPosition:
    """Record where a slot begins: by now no transaction that it does not have can get an id at or above `xmax`."""
    bronze_connection.renew_snapshot(connection)
    xmax = fetch_rows(connection, "moment")[0]["xmax"]
    position = LogPosition(table.identity, slot.name, slot.confirmed, xmax)
    record_log_position(connections.lake, pipeline.name, position)
    return position


def continue_log(
    pipeline: Pipeline, lake: Lake, opened: OpenedLog, held: Iterable[Position | None], window: Window, lsn: int
) -> Window:
    """
    Return the window as one that reads the log, if every sink holds what was logged before.

    Args:
        lsn: where the log ends for this window.
    """
    if window.mode is not Mode.WINDOW:
        return window
    positions, known = [*held], opened.position
    if known and opened.slot and window.after and _all_hold(lake, pipeline, known, positions):
        late = "" if all(p and known.knows_all_below(p) for p in positions) else known.late
        base, after = min(position.batch_id for position in positions if position), opened.slot.confirmed
        return replace(window, log=LogRange(known.slot, after, max(after, lsn), base, late))
    if not any(positions):  # the first load: nothing can be missing
        return window
    why = opened.why or "a sink does not hold what the log continues, or a transaction of before is still open"
    later = f"; {_LATER}" if opened.why or (known and known.batch_id) else ""
    return replace(window, notes=(f"read by transaction id, not from the log: {why}{later}",))


def _all_hold(lake: Lake, pipeline: Pipeline, known: LogPosition, positions: list[Position | None]) -> bool:
    if known.late and find_log_read(lake, known.late) is None:
        return False
    return all(
        known.is_held_by(position, lambda batch_id: _window_of(lake, pipeline, batch_id)) for position in positions
    )


def _window_of(lake: Lake, pipeline: Pipeline, batch_id: int) -> Window | None:
    try:
        return read_window(lake, pipeline.name, batch_id)
    except (SettingError, ContractBroken):
        return None
