"""
How far the sinks hold the source's log, and what was read of it.

    _staging/<pipeline>/_log.json              where the next window goes on
    _staging/<pipeline>/<batch>/log-<window>/read.json   what a window read

A position of a sink is a transaction id, which says nothing about changes by younger transactions that had ended
already. The record says which batch brought those too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, delete_files
from include.medallion.model.window import Position, Window
from include.medallion.staging.layout import log_file
from include.medallion.staging.records.documents import read_document, write_document


@dataclass(frozen=True, slots=True)
class LogPosition:
    """
    Where the log goes on.

    Args:
        source: identity of the table.
        slot: replication slot.
        lsn: what had been logged up to here is held by every sink for which `is_held_by` is true.
        xid: a transaction whose changes were logged before `lsn` has a lower id.
        batch_id: a batch that brought all changes up to `lsn`; 0 if none has.
        late: document with keys that have to be read again; empty if there is none.
        quiet_from, quiet_upto: a window of transaction ids in which the table had no row.
    """

    source: str
    slot: str
    lsn: int
    xid: int
    batch_id: int = 0
    late: str = ""
    quiet_from: int = 0
    quiet_upto: int = 0

    def knows_all_below(self, position: Position) -> bool:
        """Return whether a sink holds every row of the transactions that the log had up to `lsn`."""
        quiet = self.quiet_from <= position.upto <= self.quiet_upto
        return (self.quiet_upto if quiet else position.upto) >= self.xid

    def is_held_by(self, position: Position | None, window_of: Callable[[int], Window | None]) -> bool:
        """
        Return whether a sink at this position holds everything that was logged up to `lsn`.

        Args:
            window_of: returns the window of a batch, None if it is not known.
        """
        if position is None or position.source != self.source:
            return False
        if self.knows_all_below(position) or position.batch_id == self.batch_id:
            return True
        window = window_of(position.batch_id)
        return bool(self.batch_id and window and window.log and window.log.base >= self.batch_id)


@dataclass(frozen=True, slots=True)
class LogRead:
    """
    What a window read of the log.

    Args:
        keys: distinct keys that changed.
        truncated: the table was truncated.
        late: keys, as text, of rows whose version is not final, and these versions; None if there
            are too many, or the key is masked: then the slot stays, and the next window reads all of it again.
    """

    window: Window
    keys: int
    truncated: bool
    late: tuple[tuple[str, ...], ...] | None = ()
    late_versions: tuple[int, ...] = ()


def read_log_position(lake: Lake, pipeline: str) -> LogPosition | None:
    """Return where the log goes on; None if that is not known."""
    try:
        return read_document(lake, _path(pipeline), LogPosition)
    except (FileNotFoundError, ContractBroken):
        return None


def record_log_position(lake: Lake, pipeline: str, position: LogPosition) -> None:
    """Record where the log goes on; to be done before a slot is advanced to there."""
    write_document(lake, _path(pipeline), position)


def forget_log_position(lake: Lake, pipeline: str) -> None:
    """Forget where the log goes on: its slot is dropped."""
    delete_files(lake, [_path(pipeline)])


def record_log_read(lake: Lake, read: LogRead) -> str:
    """Record what a window read; return the document's path."""
    write_document(lake, log_file(read.window), read)
    return log_file(read.window)


def forget_log_read(lake: Lake, window: Window) -> None:
    """Withdraw what an earlier try recorded."""
    delete_files(lake, [log_file(window)])


def find_log_read(lake: Lake, path: str) -> LogRead | None:
    """Return what a window read; None if it was not read from the log."""
    try:
        return read_document(lake, path, LogRead)
    except (FileNotFoundError, ContractBroken):
        return None


def _path(pipeline: str) -> str:
    return f"_staging/{pipeline}/_log.json"
