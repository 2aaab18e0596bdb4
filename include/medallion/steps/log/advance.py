"""Let the slot go on behind what all sinks hold."""

from __future__ import annotations

from include.medallion.bronze.log.slot import advance_slot
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.log_range import LogRange
from include.medallion.model.window import Window
from include.medallion.staging.layout import log_file
from include.medallion.staging.records.log_position import (
    LogPosition,
    LogRead,
    find_log_read,
    read_log_position,
    record_log_position,
)


def advance_log(pipeline: Pipeline, connections: Connections, window: Window, *, compared: bool = False) -> None:
    """
    Advance the slot of a committed batch: every sink holds what it read of the log.

    A window that was not read from the log, or that left too many keys to read again, leaves the slot where it is. So
    does one in which the table was truncated, until the keys of sinks and source were compared.

    Args:
        compared: a reconcile has run since the batch was applied.

    Raises:
        SettingError, Transient: as `advance_slot`.
    """
    read = read_of(connections.lake, window)
    if window.log is None or read is None or read.late is None or (read.truncated and not compared):
        return
    late = log_file(window) if read.late else ""
    advance(pipeline, connections, window, window.log, window.batch_id, late)


def read_of(lake: Lake, window: Window) -> LogRead | None:
    """Return what a window read of the log; None if it did not."""
    return find_log_read(lake, log_file(window)) if window.log else None


def advance(
    pipeline: Pipeline, connections: Connections, window: Window, span: LogRange, batch_id: int, late: str
) -> None:
    """Record that the sinks hold the log up to the end of a range, then advance the slot."""
    lake, source = connections.lake, pipeline.source
    known = read_log_position(lake, pipeline.name)
    if known and known.source != window.source:  # accepted meanwhile: its log has other changes at these positions
        return
    with bronze_connection.connect(connections.bronze, source.connection) as connection:
        if known is None or known.slot != span.slot or known.lsn < span.upto:
            xmax = fetch_rows(connection, "moment")[0]["xmax"]
            position = LogPosition(window.source, span.slot, span.upto, xmax, batch_id, late)
            record_log_position(lake, pipeline.name, position)
        advance_slot(connection, source, span.slot, span.upto)
