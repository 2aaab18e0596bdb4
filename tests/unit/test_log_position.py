"""What proves that a sink holds what the log continues."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.medallion.errors import SinkBehind
from include.medallion.model.log_range import LogRange
from include.medallion.model.window import Position, Window, is_applied
from include.medallion.staging.records.log_position import LogPosition

KNOWN = LogPosition("s", "slot", lsn=1000, xid=50, batch_id=7)
CONTINUING = Window("p", "s", 40, 45, 8, log=LogRange("slot", 1000, 2000, base=7))


def held(position, window=None, known=KNOWN):
    """Return whether a sink is known to hold the log."""
    return known.is_held_by(position, lambda _: window)


def test_a_sink_holds_the_log_by_its_batch_or_by_its_transactions():
    """The batch that brought it, a window that continues that one, or a position above all of its transactions."""
    assert held(Position("s", 45, 7))
    assert held(Position("s", 45, 8), CONTINUING)
    assert held(Position("s", 50, 3))


@pytest.mark.parametrize("position", [None, Position("other", 60, 7), Position("s", 49, 6), Position("s", 49, 8)])
def test_a_sink_that_was_emptied_or_restored_does_not(position):
    """Nor one that was filled by transaction id up to a horizon below the log's transactions."""
    assert not held(position)


def test_a_new_slot_is_held_by_transactions_alone():
    """Nothing was read from it yet: no window can continue it."""
    new = replace(KNOWN, batch_id=0)
    assert not held(Position("s", 49, 8), CONTINUING, new)
    assert held(Position("s", 50, 8), CONTINUING, new)


def test_an_empty_window_counts_like_a_position():
    """The table had no row between the position and a later horizon."""
    quiet = replace(KNOWN, batch_id=0, quiet_from=30, quiet_upto=60)
    assert held(Position("s", 30, 3), known=quiet)
    assert not held(Position("s", 29, 3), known=quiet)


def test_a_sink_without_the_batch_that_a_window_continues_is_behind():
    """Its transaction ids alone do not tell, while an open transaction holds the horizon."""
    assert not is_applied("gold", Position("s", 40, 7), CONTINUING)
    with pytest.raises(SinkBehind):
        is_applied("gold", Position("s", 40, 6), CONTINUING)
