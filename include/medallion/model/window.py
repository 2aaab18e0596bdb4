"""
The window of transaction ids that one run reads, and what the sinks hold already.

A row belongs to `[after, upto)` if the 64-bit id of the transaction that wrote
it does. `upto` is the oldest id still running when the window is opened: below
it everything is finished, so no row can appear there later
(https://www.postgresql.org/docs/current/functions-info.html, pg_snapshot_xmin).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from include.medallion.errors import ContractBroken, SinkBehind, SourceChanged
from include.medallion.model.clocks import check_clocks


class Mode(StrEnum):
    """Why a run reads."""

    WINDOW = "window"  # what changed since the last one
    REFRESH = "refresh"  # everything; the sinks' tables are replaced
    TRIAL = "trial"  # at most max_rows
    LOOKUPS = "lookups"  # rows of Gold whose answers are due
    QUARANTINE = "quarantine"  # rows that were set aside
    RECONCILE = "reconcile"  # all keys, to be compared; brings no rows

    @property
    def advances_watermark(self) -> bool:
        """Whether a sink that applied such a batch holds all rows up to its end: only then the watermark moves."""
        return self in {Mode.WINDOW, Mode.REFRESH}


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What the source says of its transactions, in one snapshot (64-bit ids)."""

    source: str  # system identifier, timeline, database, relation: the table's identity
    xmin: int  # everything below is finished
    xmax: int  # nothing at or above has begun
    clock: datetime | None = None  # UTC; None if the source was not asked


@dataclass(frozen=True, slots=True)
class Position:
    """What a sink holds: every row of `source` below `upto`, last moved by batch `batch_id`."""

    source: str
    upto: int
    batch_id: int


@dataclass(frozen=True, slots=True)
class Window:
    """All that a task must know to read, write or replay one batch."""

    pipeline: str
    source: str
    after: int
    upto: int
    batch_id: int
    mode: Mode = Mode.WINDOW
    max_rows: int | None = None
    lag: int = 0  # transactions begun but not below upto

    def to_json(self) -> dict:
        """As XCom carries it."""
        return {**asdict(self), "mode": str(self.mode)}

    @classmethod
    def from_json(cls, data: dict) -> Window:
        """Inverse of `to_json`."""
        return cls(**{**data, "mode": Mode(data["mode"])})

    @property
    def opened_at(self) -> datetime:
        """The moment in the batch id: `_loaded_at` of every row of the batch."""
        return _timestamp_of(self.batch_id)

    @property
    def position(self) -> Position:
        """What a sink holds once this batch is applied."""
        return Position(self.source, self.upto, self.batch_id)


def new_batch_id(now: datetime, last: int) -> int:
    """
    Name a batch by the UTC moment its window was opened, to the millisecond, as digits.

    Ids grow even if a clock goes back: an id is larger than `last`, the largest
    that any sink holds.
    """
    wanted = int(now.astimezone(UTC).strftime("%Y%m%d%H%M%S%f")[:17])
    return wanted if wanted > last else _next_id(last)


def _next_id(batch_id: int) -> int:
    """Return the id one millisecond later (ids are dates: adding 1 would leave the calendar)."""
    return int((_timestamp_of(batch_id) + timedelta(milliseconds=1)).strftime("%Y%m%d%H%M%S%f")[:17])


def _timestamp_of(batch_id: int) -> datetime:
    return datetime.strptime(f"{batch_id}000", "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)


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
    Decide what a run reads: from where the sink that is furthest behind stands, up to the horizon.

    Args:
        moment: the source's transactions now.
        held: the position of each sink, None for a sink that never held anything.
        now: by the clock of this worker.
        newest_id: the largest batch id that was ever given to the pipeline, as far as is known.

    Raises:
        ClockSkew: the clocks of this worker and of the source are too far apart.
        SourceChanged: a sink was filled from another table, or the source has gone
            back in time; the message says that a full refresh mends it.
    """
    check_clocks(pipeline, moment.clock, now)
    batch_id = new_batch_id(now, max([newest_id, *(p.batch_id for p in held if p)]))
    if mode is Mode.REFRESH:
        return Window(pipeline, moment.source, 0, moment.xmin, batch_id, mode, None, moment.xmax - moment.xmin)
    _check_source(pipeline, moment, held)
    whole = mode in {Mode.LOOKUPS, Mode.QUARANTINE}
    after = 0 if whole else min((p.upto if p else 0 for p in held), default=0)
    return Window(pipeline, moment.source, after, moment.xmin, batch_id, mode, max_rows, moment.xmax - moment.xmin)


def _check_source(pipeline: str, moment: SourceSnapshot, held: list[Position | None]) -> None:
    cure = f"if that is meant, trigger medallion_{pipeline} with full_refresh (nothing cached is paid for again)"
    for position in filter(None, held):
        if position.source != moment.source:
            raise SourceChanged(
                f"the sinks of {pipeline} were filled from source {position.source}, but the table is now "
                f"{moment.source} (system, timeline, database, relation): it was re-created, restored or failed over; "
                + cure
            )
        if position.upto > moment.xmax:
            raise SourceChanged(
                f"the sinks of {pipeline} hold transactions up to {position.upto}, but the source has only begun "
                f"{moment.xmax}: it was restored from an older copy; {cure}"
            )


def is_applied(sink: str, held: Position | None, window: Window) -> bool:
    """
    Decide whether a sink already holds a batch; the same rule for every sink.

    False means: apply it. Rows are fenced by version, so applying one too many is
    harmless; leaving one out is not.

    Raises:
        SinkBehind: rows between what the sink holds and the window's start would be lost.
        SourceChanged: the sink was filled from another source.
        ContractBroken: a full refresh was overtaken by a newer batch.
    """
    if window.mode is Mode.REFRESH:
        return held is not None and _is_refresh_applied(sink, held, window)
    if held and held.source != window.source:
        raise SourceChanged(f"{sink} was filled from another source meanwhile: trigger {window.pipeline} again")
    if not window.mode.advances_watermark:
        return False
    upto = held.upto if held else 0
    if upto < window.after:
        raise SinkBehind(
            f"{sink} holds transactions below {upto} only, but the window of batch {window.batch_id} starts at "
            f"{window.after}: it was restored or emptied. The next run starts from where it stands",
            held=held,
        )
    return held is not None and held.batch_id >= window.batch_id and held.upto >= window.upto


def check_same_source(sink: str, held: Position | None, window: Window) -> None:
    """
    Check that a sink still holds the source that was read, before anything is deleted from it.

    Raises:
        SourceChanged: it was emptied or filled from another source meanwhile.
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
            "bring old rows back. Trigger a new full_refresh"
        )
    return held.batch_id == window.batch_id
