"""
Decide from polls of a source whether a run has to start. Pure: how the source is polled is in `bronze.watch`.

A source that is read by transaction id is watched by its statistics, which say late that rows were written, and not
which. A run reads rows of transactions below the oldest that is open, so a run may be needed once more when an older
transaction has ended. A source whose log is read says which changes no run has been started for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

POLLS_TO_WAIT = 8
"""Polls for which a run waits for older transactions; short ones have ended by then, and one run brings all."""
MAX_BYTES_BEHIND = 128 << 20
"""A slot that is so far behind gets a run to go on, although only other tables changed: each poll decodes from it."""


@dataclass(frozen=True, slots=True)
class LogPoll:
    """
    The log of the source.

    Args:
        end: how far it reaches, as far as it can be read.
        confirmed: position of the pipeline's slot.
        changed: end of the last transaction that changed the table, if it is above what `Watch.covered` was; else 0.
    """

    end: int
    confirmed: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """
    The source at one moment.

    Args:
        shape: identity of the table, its partitions, files and columns.
        written: rows inserted and updated, as the statistics count them.
        xmin: id of the oldest transaction that is open.
        xmax: id of the next transaction.
        notified: a notification came, or may have been missed.
        log: None if the source has no slot for the pipeline.
    """

    shape: str
    written: int
    xmin: int
    xmax: int
    notified: bool = False
    log: LogPoll | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """
    What is known between two polls.

    Args:
        shape, written: as of the last poll; no shape before the first one.
        is_logged: the last poll found a slot.
        log_end: how far the log reached then; 0 without a slot.
        due: changes are below this transaction id, and a run has to start once no older transaction is open; 0 if none
            has to.
        is_new: no run was started for some of these changes.
        waited: polls since the first of these.
        covered: a run was started for all changes in the log up to here.
    """

    shape: str = ""
    written: int = 0
    is_logged: bool = False
    log_end: int = 0
    due: int = 0
    is_new: bool = False
    waited: int = 0
    covered: int = 0


def decide(watch: Watch, poll: Poll) -> tuple[Watch, str]:
    """
    Decide whether a run has to start.

    Returns:
        What is known now, and the reason for a run; empty if none has to start.
    """
    end = poll.log.end if poll.log else 0
    watch, known = replace(watch, shape=poll.shape, written=poll.written, is_logged=bool(poll.log), log_end=end), watch
    if poll.log is not None:
        return _decide_by_log(watch, known, poll, poll.log)
    lost = "the replication slot is missing" if known.is_logged else ""
    return _decide_by_statistics(watch, poll, lost or _change(known, poll))


def _change(known: Watch, poll: Poll) -> str:
    if not known.shape:
        return "the source is watched from now on"
    if poll.shape != known.shape:
        return "the table was altered"
    if poll.notified:
        return "a notification came"
    return "rows were written" if poll.written != known.written else ""


def _decide_by_statistics(watch: Watch, poll: Poll, change: str) -> tuple[Watch, str]:
    is_new = bool(change) or watch.is_new
    waited = watch.waited + 1 if watch.is_new else 0
    due = poll.xmax if change else watch.due
    reason = change or ("rows were written" if is_new else "a transaction has ended")
    if due and poll.xmin >= due:
        return replace(watch, due=0, is_new=False, waited=0), reason
    if is_new and waited >= POLLS_TO_WAIT:
        return replace(watch, due=due, is_new=False, waited=0), reason
    return replace(watch, due=due, is_new=is_new, waited=waited), ""


def _decide_by_log(watch: Watch, known: Watch, poll: Poll, log: LogPoll) -> tuple[Watch, str]:
    reason = ""
    if log.changed > known.covered:
        reason = "the log has changes"
    elif known.shape and poll.shape != known.shape:
        reason = "the table was altered"
    elif log.end - max(log.confirmed, known.covered) > MAX_BYTES_BEHIND:
        reason = "the replication slot has to go on"
    watch = replace(watch, due=0, is_new=False, waited=0)
    return replace(watch, covered=max(log.end, log.changed)) if reason else watch, reason
