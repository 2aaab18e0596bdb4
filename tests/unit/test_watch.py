"""When a run has to start: every change is read by one, and nothing starts without a change."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.values.durations import parse_duration
from include.medallion.model.watch import MAX_BYTES_BEHIND, POLLS_TO_WAIT, LogPoll, Poll, Watch, decide

SETTLED = POLLS_TO_WAIT + 2
"""Polls after which nothing may happen any more in a source that is quiet."""


@dataclass
class Source:
    """
    A model of a source and its runs: each run reads at once what a run by transaction id reads.

    The statistics know of a transaction's rows some time after it has ended, as PostgreSQL's do.
    """

    watch: Watch = field(default_factory=Watch)
    next_xid: int = 100
    open: dict[int, int] = field(default_factory=dict)  # rows written, by transaction
    committed: dict[int, bool] = field(default_factory=dict)  # whether a run has read it
    unreported: list[int] = field(default_factory=list)
    written: int = 0
    runs: int = 0

    def begin(self):
        self.open[self.next_xid] = 0
        self.next_xid += 1

    def write(self, which):
        if self.open:
            xid = sorted(self.open)[which % len(self.open)]
            self.open[xid] += 1

    def end(self, which, commit=True):
        if self.open:
            xid = sorted(self.open)[which % len(self.open)]
            if rows := self.open.pop(xid):
                self.unreported.append(rows)
                if commit:
                    self.committed[xid] = False

    def report(self):
        self.written += sum(self.unreported)
        self.unreported.clear()

    @property
    def horizon(self):
        return min(self.open, default=self.next_xid)

    def poll(self):
        poll = Poll("table", self.written, self.horizon, self.next_xid)
        self.watch, reason = decide(self.watch, poll)
        if reason:
            self.runs += 1
            self.committed |= {xid: True for xid in self.committed if xid < self.horizon}
        return reason


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["begin", "report", "poll"])),
        st.tuples(st.just("write"), st.integers(0, 5)),
        st.tuples(st.just("end"), st.integers(0, 5), st.booleans()),
    ),
    max_size=60,
)


@given(EVENTS)
def test_every_change_is_read_and_then_all_is_quiet(events):
    """However transactions overlap and however late the statistics are; then polls start no run."""
    source = Source()
    for name, *args in events:
        getattr(source, name)(*args)
    while source.open:
        source.end(0)
    source.report()
    for _ in range(SETTLED):
        source.poll()
    assert all(source.committed.values())
    runs = source.runs
    for _ in range(20):
        source.begin()  # transactions that write other tables
        source.poll()
        source.end(0)
    assert source.runs == runs


@given(EVENTS)
def test_a_run_has_a_reason(events):
    """There are at most two runs for each poll that saw a change: one soon, one when an older transaction has ended."""
    source, changes = Source(), 1
    for name, *args in events:
        if name == "poll":
            changes += source.written != source.watch.written
        getattr(source, name)(*args)
    assert source.runs <= 2 * changes


def test_short_transactions_delay_a_run_instead_of_doubling_it():
    """A change beside a transaction that ends before the next poll needs one run."""
    source = Source()
    source.poll()
    for _ in range(2):
        source.begin()
    source.write(0)
    source.end(0)
    source.report()
    assert not source.poll()
    source.end(0)
    assert source.poll() == "rows were written"
    assert [source.poll() for _ in range(SETTLED)] == [""] * SETTLED


def test_writers_that_never_pause_are_read():
    """A horizon that always lags behind does not put a run off for ever."""
    source = Source()
    source.poll()
    source.begin()
    for _ in range(30):
        source.begin()
        source.write(1)
        source.end(0)
        source.report()
        source.poll()
    assert source.runs >= 30 // (POLLS_TO_WAIT + 1)


def test_rows_behind_a_long_transaction_are_read_when_it_ends():
    """One run brings what can be seen, another one the rest."""
    source = Source()
    source.poll()
    for _ in range(2):
        source.begin()
    source.write(1)
    source.end(1)
    source.report()
    quiet = [""] * POLLS_TO_WAIT
    assert [source.poll() for _ in range(2 * POLLS_TO_WAIT + 1)] == [*quiet, "rows were written", *quiet]
    assert not all(source.committed.values())
    source.end(0)
    assert source.poll() == "a transaction has ended"
    assert all(source.committed.values())


@pytest.mark.parametrize(
    ("poll", "reason"),
    [
        (Poll("table", 0, 9, 9), "rows were written"),  # statistics that were reset
        (Poll("other", 7, 9, 9), "the table was altered"),
        (Poll("table", 7, 9, 9, notified=True), "a notification came"),
        (Poll("table", 7, 9, 9), ""),
    ],
)
def test_what_starts_a_run(poll, reason):
    """Numbers that changed in any direction, another table of the name, a notification."""
    assert decide(Watch("table", 7), poll)[1] == reason


def seen(watch, end, confirmed, changed=0):
    """Decide on a poll of the log."""
    return decide(watch, Poll("table", 0, 9, 9, log=LogPoll(end, confirmed, changed)))


def test_each_change_in_the_log_starts_one_run():
    """Changes during a run start one more; those that a run was started for start none, wherever the slot is."""
    watch, reason = seen(Watch(), 100, 100)
    assert not reason
    watch, reason = seen(watch, 200, 100, 180)
    assert reason == "the log has changes"
    watch, reason = seen(watch, 300, 100)
    assert not reason
    watch, reason = seen(watch, 400, 100, 350)
    assert reason
    watch, reason = seen(watch, 400, 200)
    assert not reason
    assert watch.covered == 400


def test_a_slot_far_behind_gets_a_run():
    """Although only other tables changed: once, until as much was logged again."""
    watch, _ = seen(Watch(), 100, 100)
    watch, reason = seen(watch, 101 + MAX_BYTES_BEHIND, 100)
    assert reason == "the replication slot has to go on"
    assert seen(watch, 102 + MAX_BYTES_BEHIND, 100)[1] == ""


def test_a_missing_slot_gets_a_run_that_replaces_it():
    """Then the statistics are watched until there is a slot."""
    watch, _ = seen(Watch(), 100, 100)
    watch, reason = decide(watch, Poll("table", 0, 9, 9))
    assert reason == "the replication slot is missing"
    watch, reason = decide(watch, Poll("table", 0, 9, 9))
    assert not reason
    assert decide(watch, Poll("table", 1, 9, 9))[1] == "rows were written"
    assert seen(watch, 300, 300)[1] == ""


@pytest.mark.parametrize("text", ["", "5", "5 m", "0m", "m", "1w", "1.5h", "9999d", "-1h", "५m"])
def test_what_is_no_duration_is_refused(text):
    """The message shows how one is written."""
    with pytest.raises(ValueError, match="15m"):
        parse_duration(text)
