"""
The window that one run reads, and the positions of the sinks.

A row belongs to `[after, upto)` if the 64-bit id of its transaction does. No row can appear below `upto` later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.medallion.errors import ContractBroken, SinkBehind, SourceChanged
from include.medallion.model.batch_id import new_batch_id, time_of
from include.medallion.model.clocks import check_clocks
from include.medallion.model.log_range import LogRange


class Mode(StrEnum):
    """What a run reads."""

    WINDOW = "window"  # what has changed since the last one
    REFRESH = "refresh"  # the whole table; the sinks' tables are replaced
    TRIAL = "trial"  # at most max_rows
    LOOKUPS = "lookups"  # rows of Gold whose look-ups must be refreshed
    QUARANTINE = "quarantine"  # quarantined rows
    RELOAD = "reload"  # rows that were chosen, by condition or key
    ACCEPT = "accept"  # rows that differ between a new source and sinks of an older one, which are bound to it
    RECONCILE = "reconcile"  # all primary keys, to compare them; applies no rows

    @property
    def advances_watermark(self) -> bool:
        """Whether a sink that has applied such a batch holds all rows up to its end, so that the watermark advances."""
        return self in {Mode.WINDOW, Mode.REFRESH, Mode.ACCEPT}


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """The source's identity and transaction ids (64 bits), in one snapshot."""

    source: str  # system identifier, timeline, database, relation: the table's identity
    xmin: int  # all lower transaction ids have ended
    xmax: int  # no transaction with this id or a higher one has begun
    clock: datetime | None = None  # UTC; None if the source was not asked
    lsn: int = 0  # position of the log: what the snapshot sees was logged before it


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a sink: it holds every row of `source` below `upto`; batch `batch_id` has set it."""

    source: str
    upto: int
    batch_id: int
    schema: int = 0  # fingerprint of the source schema that it has the columns of; 0 if it was never recorded

    def is_of(self, moment: SourceSnapshot) -> bool:
        """Return whether the position is of this source, and not of a later state of it."""
        return self.source == moment.source and self.upto <= moment.xmax


@dataclass(frozen=True, slots=True)
class Window:
    """Everything that a task needs to read, write or replay one batch."""

    pipeline: str
    source: str
    after: int
    upto: int
    batch_id: int
    mode: Mode = Mode.WINDOW
    max_rows: int | None = None
    lag: int = 0  # transactions begun but not below upto
    schema: int = 0  # fingerprint of the source schema that its rows have
    changes: tuple[str, ...] = ()  # of the schema since the sinks' positions, in words
    seen: int = 0  # fingerprint of the schema that the source had when the window was opened
    planned_from: tuple[int, ...] = ()  # fingerprints of the schemas that the sinks had then
    log: LogRange | None = None  # changes to read; None reads the table by transaction id
    notes: tuple[str, ...] = ()  # for the run's summary: why the log is not read

    @property
    def opened_at(self) -> datetime:
        """The time in the batch id: `_loaded_at` of every row of the batch."""
        return time_of(self.batch_id)

    @property
    def position(self) -> Position:
        """Position of a sink that has applied this batch."""
        return Position(self.source, self.upto, self.batch_id, self.schema)


def plan_window(
    pipeline: str,
    moment: SourceSnapshot,
    held: list[Position | None],
    now: datetime,
    mode: Mode = Mode.WINDOW,
    max_rows: int | None = None,
    newest_id: int = 0,
) -> Window:
    """
    Decide what a run reads: from the position of the sink that is furthest behind, up to the source's horizon.

    Args:
        pipeline: its name.
        moment: the source's transactions now.
        held: the position of each sink, None for a sink that has never applied a batch.
        now: by the clock of this worker.
        mode: what the run reads.
        max_rows: upper limit of rows of a trial.
        newest_id: the largest batch id that was ever given to the pipeline, as far as is known.

    Raises:
        ClockSkew: the clocks of this worker and of the source are too far apart.
        SourceChanged: a sink was filled from another table, or the source was restored from an older copy.
    """
    check_clocks(pipeline, moment.clock, now)
    batch_id = new_batch_id(now, max([newest_id, *(p.batch_id for p in held if p)]))
    if mode in {Mode.REFRESH, Mode.ACCEPT}:
        return Window(pipeline, moment.source, 0, moment.xmin, batch_id, mode, None, moment.xmax - moment.xmin)
    _check_source(pipeline, moment, held)
    whole = mode in {Mode.LOOKUPS, Mode.QUARANTINE, Mode.RELOAD}
    after = 0 if whole else min((p.upto if p else 0 for p in held), default=0)
    return Window(pipeline, moment.source, after, moment.xmin, batch_id, mode, max_rows, moment.xmax - moment.xmin)


def _check_source(pipeline: str, moment: SourceSnapshot, held: list[Position | None]) -> None:
    fix = (
        f"if that is meant, reconcile {pipeline} with accept_source, which writes what differs, or trigger "
        f"medallion_{pipeline} with full_refresh (cached look-ups are not billed again)"
    )
    for position in filter(None, held):
        if position.source != moment.source:
            raise SourceChanged(
                f"the sinks of {pipeline} were filled from source {position.source}, but the table is now "
                f"{moment.source} (system, timeline, database, relation): it was re-created, restored or failed over; "
                + fix
            )
        if position.upto > moment.xmax:
            raise SourceChanged(
                f"the sinks of {pipeline} hold transactions up to {position.upto}, but the source has only begun "
                f"{moment.xmax}: it was restored from an older copy; {fix}"
            )


def is_applied(sink: str, held: Position | None, window: Window) -> bool:
    """
    Return whether a sink already holds a batch.

    In doubt it returns False: applying a batch again is harmless, because rows are fenced by version; skipping is not.

    Args:
        sink: its name, for messages.
        held: the sink's position, None if it has never applied a batch.

    Raises:
        SinkBehind: rows between the sink's position and the window's start would be lost, or the sink has columns that
            the batch was not planned for.
        SourceChanged: the sink was filled from another source.
        ContractBroken: the batch is a full refresh, and the sink holds a newer batch.
    """
    if window.mode in {Mode.REFRESH, Mode.ACCEPT}:
        return held is not None and _is_refresh_applied(sink, held, window)
    if held and held.source != window.source:
        raise SourceChanged(f"{sink} was filled from another source meanwhile: trigger {window.pipeline} again")
    _check_planned(sink, held, window)
    if not window.mode.advances_watermark:
        return False
    upto = held.upto if held else 0
    if upto < window.after or (window.log and held and held.batch_id < window.log.base):
        raise SinkBehind(
            f"{sink} holds transactions below {upto} only, but the window of batch {window.batch_id} starts at "
            f"{window.after}: it was restored or emptied. The next run starts from the sink's position",
            held=held,
        )
    return held is not None and held.batch_id >= window.batch_id and held.upto >= window.upto


def is_planned(held: Position | None, window: Window) -> bool:
    """Return whether a sink has a schema that the batch was planned for. An older batch is conformed to any."""
    if held is None or held.batch_id >= window.batch_id or window.mode in {Mode.LOOKUPS, Mode.REFRESH}:
        return True
    return not window.schema or held.schema in {*window.planned_from, window.schema, 0}


def _check_planned(sink: str, held: Position | None, window: Window) -> None:
    if held and not is_planned(held, window):
        raise SinkBehind(
            f"{sink} got other columns after batch {window.batch_id} was opened, from batch {held.batch_id}: nothing "
            "was written. The next run starts from the sink's position",
            held=held,
        )


def check_same_source(sink: str, held: Position | None, window: Window) -> None:
    """
    Check that a sink still holds rows of the source that was read, before anything is deleted from it.

    Raises:
        SourceChanged: the sink was emptied or filled from another source after the batch was opened.
    """
    if held is None or held.source != window.source:
        raise emptied(sink, window)


def emptied(sink: str, window: Window) -> SourceChanged:
    """Return the error for a sink that no longer holds the source that was read."""
    return SourceChanged(
        f"{sink} was emptied or filled from another source after batch {window.batch_id} was opened: nothing was "
        "deleted. Reconcile again once the pipeline has run"
    )


def _is_refresh_applied(sink: str, held: Position, window: Window) -> bool:
    if held.batch_id > window.batch_id:
        raise ContractBroken(
            f"{sink} holds batch {held.batch_id}, newer than this full refresh ({window.batch_id}): replaying it would "
            "restore old rows. Trigger a new full_refresh"
        )
    return held.batch_id == window.batch_id
