"""Step `extract` of a window that reads the log: the changed keys, and the rows that they are now."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from include.medallion.bronze.extract import Gone
from include.medallion.bronze.log.changes import LogLost, check_visible, collect_keys
from include.medallion.bronze.log.pgoutput import Key
from include.medallion.bronze.log.rows import KeyedRows, gone_schema, read_keyed_rows
from include.medallion.bronze.log.slot import MEGABYTE
from include.medallion.bronze.rows import raw_schema
from include.medallion.bronze.table import SourceTable
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.log_range import LogRange
from include.medallion.model.window import Mode, Window
from include.medallion.staging.records.log_position import (
    LogRead,
    find_log_read,
    forget_log_read,
    read_log_position,
    record_log_position,
    record_log_read,
)
from include.medallion.steps.log.advance import advance

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection
    from pyarrow import RecordBatch

log = logging.getLogger(__name__)
MAX_LATE_KEYS = 200_000
QUIET_BYTES = 16 * MEGABYTE
"""A slot is advanced without a batch only once it keeps so much of the log that the table has no change in."""


@dataclass(frozen=True)
class LogChanges:
    """
    What the log has of a window.

    Args:
        keys: to read, late ones of earlier windows included.
        waiting: late keys of earlier windows whose version is still not final, and these versions.
        truncated: the table was truncated.
        is_held: the slot has been advanced since the window was opened: all sinks hold its changes.
    """

    keys: Sequence[Key] = ()
    waiting: Mapping[Key, int] = field(default_factory=dict)
    truncated: bool = False
    is_held: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return not self.keys and not self.truncated


def read_changes(
    pipeline: Pipeline, connections: Connections, connection: AdbcConnection, table: SourceTable, window: Window
) -> tuple[Window, LogChanges | None]:
    """
    Collect the keys that a window has to read.

    Args:
        connection: its snapshot is the one in which the rows of these keys are read.

    Returns:
        The window, and what the log has of it. If the log cannot be read, or is not to be, the window as it is read by
        transaction id, and None.

    Raises:
        Transient: another session uses the slot.
    """
    if window.log is None:
        return window, None
    forget_log_read(connections.lake, window)
    try:
        return window, _collect(pipeline, connections, connection, table, window, window.log)
    except LogLost as e:
        log.warning("read by transaction id, not from the log: %s. Deletes are found by the next reconcile", e)
        return replace(window, log=None), None


def _collect(
    pipeline: Pipeline,
    connections: Connections,
    connection: AdbcConnection,
    table: SourceTable,
    window: Window,
    span: LogRange,
) -> LogChanges:
    collected = collect_keys(connection, pipeline.source, table.relation, span)
    if collected is None:
        return LogChanges(is_held=True)
    check_visible(connection, collected.transactions)
    earlier = find_log_read(connections.lake, span.late) if span.late else None
    if span.late and earlier is None:
        raise LogLost("keys of an earlier window are not staged any more")
    late = dict(zip(earlier.late or (), earlier.late_versions, strict=True)) if earlier else {}
    due = [key for key, version in late.items() if version < window.upto]
    waiting = {key: version for key, version in late.items() if version >= window.upto}
    return LogChanges([*dict.fromkeys([*collected.keys, *due])], waiting, collected.truncated)


@dataclass(frozen=True)
class LogReader:
    """Reads the rows of a window's changes, in the snapshot of the connection, and records what it found."""

    pipeline: Pipeline
    lake: Lake
    connection: AdbcConnection
    table: SourceTable
    window: Window
    changes: LogChanges
    gone: Gone

    @property
    def keys(self) -> int:
        """Keys to read."""
        return len(self.changes.keys)

    def batches(self) -> Iterator[RecordBatch]:
        """Stream the rows; then the gone keys are known, and what was read is recorded."""
        found = KeyedRows(gone=self.gone.keys)
        args = (self.connection, self.pipeline, self.table, self.window, self.changes.keys, found)
        yield from read_keyed_rows(*args)
        late = {**self.changes.waiting, **dict(zip(found.late, found.late_versions, strict=True))}
        masked = any(c.mask for c in self.table.columns if c.name in self.pipeline.key)  # plain keys are never staged
        staged = not late or (len(late) <= MAX_LATE_KEYS and not masked)
        kept, versions = (tuple(late), tuple(late.values())) if staged else (None, ())
        record_log_read(self.lake, LogRead(self.window, len(self.changes.keys), self.changes.truncated, kept, versions))
        log.info("%s keys changed in the log", f"{len(self.changes.keys):,}")


def open_reader(
    pipeline: Pipeline, lake: Lake, connection: AdbcConnection, table: SourceTable, window: Window, changes: LogChanges
) -> LogReader:
    """Return a reader of the rows of a window's changes."""
    gone = Gone(raw_schema(table.columns), gone_schema(pipeline, table), truncated=changes.truncated)
    return LogReader(pipeline, lake, connection, table, window, changes, gone)


def note_nothing_new(pipeline: Pipeline, connections: Connections, window: Window, changes: LogChanges | None) -> None:
    """
    Record that a window has nothing for the sinks, so that the next one need not look there again.

    Of the log, only once it is much: each time costs a write.
    """
    if pipeline.source.read != "log" or window.mode is not Mode.WINDOW or (changes and changes.is_held):
        return
    known = read_log_position(connections.lake, pipeline.name)
    if known is None:
        return
    if window.log is None:
        quiet = replace(known, quiet_from=window.after, quiet_upto=window.upto)
        record_log_position(connections.lake, pipeline.name, quiet)
    elif window.log.upto - window.log.after > QUIET_BYTES:
        advance(pipeline, connections, window, window.log, window.log.base, window.log.late)
