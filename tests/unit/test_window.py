"""What a window is opened on, and when a sink holds it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.medallion.bronze.xid import EPOCH, INT_MAX, XidEpoch
from include.medallion.errors import ContractBroken, SinkBehind, SourceChanged
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.window import Mode, Position, SourceSnapshot, Window, is_applied, plan_window

NOW = datetime(2026, 11, 22, 20, 30, 59, 123456, tzinfo=UTC)
BATCH = 20261122203059123
MOMENT = SourceSnapshot("source", xmin=900, xmax=1000)
WINDOW = Window("one", "source", after=500, upto=900, batch_id=BATCH)


def position(upto, batch_id=BATCH - 1, source="source"):
    """Return what a sink holds."""
    return Position(source, upto, batch_id)


def test_a_first_window_reads_from_the_beginning():
    """Sinks that never held anything need everything below the horizon."""
    window = plan_window("one", MOMENT, [None, None], NOW)
    assert (window.after, window.upto, window.lag) == (0, 900, 100)


def test_a_window_starts_where_the_sink_stands_that_is_furthest_behind():
    """One sink that lost a batch gets it again; the other is fenced."""
    assert plan_window("one", MOMENT, [position(800), position(700)], NOW).after == 700


def test_a_sink_that_was_emptied_gets_everything():
    """A sink that holds nothing takes the window back to the beginning, whatever the other holds."""
    assert plan_window("one", MOMENT, [position(800), None], NOW).after == 0


def test_a_full_refresh_reads_all_whatever_the_sinks_hold():
    """A refresh starts at zero, also after the source was replaced."""
    window = plan_window("one", MOMENT, [position(800, source="old")], NOW, Mode.REFRESH)
    assert (window.after, window.upto, window.max_rows) == (0, 900, None)


@pytest.mark.parametrize("held", [position(800, source="old"), position(1001)])
def test_a_source_that_is_not_the_sinks_is_refused_with_the_cure(held):
    """Another table, or one gone back in time, stops the run; the message names the trigger parameter."""
    with pytest.raises(SourceChanged, match="trigger medallion_one with full_refresh"):
        plan_window("one", MOMENT, [held, None], NOW)


def test_a_sink_at_the_newest_transaction_is_no_sign_of_a_restore():
    """Nothing begun since the last window is ordinary."""
    assert plan_window("one", MOMENT, [position(1000)], NOW).after == 1000


def test_a_batch_id_is_the_utc_moment_to_the_millisecond():
    """Ids can be read, and are the same in every time zone."""
    assert new_batch_id(NOW, 0) == new_batch_id(NOW.astimezone(), 0) == BATCH


def test_the_batch_id_gives_the_moment_back():
    """The rows' _loaded_at is the moment in the id."""
    assert WINDOW.opened_at == NOW.replace(microsecond=123000)


@settings(deadline=None)
@given(last=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 (hypothesis wants them so)
def test_a_batch_id_is_larger_than_any_before_and_a_date(last):
    """Ids grow even if the clock goes back, and stay in the calendar."""
    last_id = new_batch_id(last.replace(tzinfo=UTC), 0)
    later = new_batch_id(NOW, last_id)
    assert later > last_id
    assert Window("one", "source", 0, 1, later).opened_at > last.replace(tzinfo=UTC) - timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (position(500), False),
        (position(700), False),
        (position(900), False),  # as far, but by an older batch: rows may be left to read
        (position(900, BATCH), True),
        (position(950, BATCH + 1), True),
        (position(700, BATCH + 1), False),
    ],
)
def test_a_sink_holds_a_window_only_if_it_is_as_far_by_this_batch_or_a_newer(held, expected):
    """In doubt a batch is applied: the fence makes that harmless, and leaving it out is not."""
    assert is_applied("Gold", held, WINDOW) is expected


@pytest.mark.parametrize("held", [None, position(499)])
def test_a_sink_behind_the_window_is_refused_and_remembered(held):
    """A gap between sink and window would lose rows: the refusal carries where the sink stands."""
    with pytest.raises(SinkBehind, match="starts at 500") as refused:
        is_applied("Gold", held, WINDOW)
    assert refused.value.held == held


def test_a_sink_of_another_source_is_refused():
    """A sink that was refreshed from another table meanwhile takes no window of the old one."""
    with pytest.raises(SourceChanged, match="Gold was filled from another source"):
        is_applied("Gold", position(900, source="new"), WINDOW)


def test_a_trial_is_always_applied():
    """A trial moves no watermark, so nothing says that it was held."""
    trial = Window("one", "source", 0, 900, BATCH, Mode.TRIAL, 5)
    assert is_applied("Gold", position(900, BATCH + 1), trial) is False


def test_a_trial_of_another_source_is_refused():
    """Its rows carry ids of the old table: above those of the new one they would fence newer rows off for ever."""
    trial = Window("one", "source", 0, 900, BATCH, Mode.TRIAL, 5)
    with pytest.raises(SourceChanged, match="Gold was filled from another source"):
        is_applied("Gold", position(900, BATCH + 1, source="new"), trial)


@pytest.mark.parametrize(("held", "expected"), [(None, False), (position(900), False), (position(900, BATCH), True)])
def test_a_refresh_is_held_by_its_own_batch_only(held, expected):
    """A replayed refresh is seen by its id; anything older is replaced."""
    assert is_applied("Gold", held, Window("one", "source", 0, 900, BATCH, Mode.REFRESH)) is expected


def test_a_refresh_overtaken_by_a_newer_batch_is_refused():
    """Replaying it would bring old rows back."""
    with pytest.raises(ContractBroken, match="Trigger a new full_refresh"):
        is_applied("Gold", position(950, BATCH + 1), Window("one", "source", 0, 900, BATCH, Mode.REFRESH))


def age(now, xid):
    """Measure how far back an id is, as Postgres does: in 32 bits, signed."""
    distance = (now - xid) % EPOCH
    return distance - EPOCH if distance > INT_MAX else distance


@settings(deadline=None)
@given(xmax=st.integers(3, 1 << 50), begun_since=st.integers(0, 1000))
def test_the_clock_finds_the_64_bit_id_that_age_counts_from(xmax, begun_since):
    """The id is at or above the snapshot's, across any wrap, from 32 bits."""
    now = xmax + begun_since
    assert XidEpoch.read(xmax, age(now, 3)).now == now
