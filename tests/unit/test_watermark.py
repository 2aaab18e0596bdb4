"""The watermark between runs: a hint that never claims more than a sink holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from include.medallion.model.window import Mode, Position, Window
from include.medallion.steps.watermark import advanced, corrected, silver_position

WINDOW = Window("people", "source", 100, 200, 20260101000000002)
OLDER = Position("source", 100, 20260101000000001)
NEWER = Position("source", 300, 20260101000000003)


def unasked():
    """Fail the test: the ledger must not be read."""
    pytest.fail("Silver was asked")


def test_a_remembered_position_spares_the_ledger():
    """With a hint Silver is not asked: that could start a warehouse every minute."""
    assert silver_position(corrected(OLDER), unasked) == OLDER


def test_a_remembered_nothing_spares_the_ledger():
    """A Silver that was found empty is remembered as empty."""
    assert silver_position(corrected(None), unasked) is None


@pytest.mark.parametrize("found", [OLDER, None])
def test_a_lost_hint_asks_silver(found):
    """Without a hint Silver's own word counts."""
    assert silver_position(None, lambda: found) == found


@pytest.mark.parametrize("hint", [None, corrected(None), corrected(OLDER)])
def test_a_batch_moves_the_hint(hint):
    """After a batch the hint is the batch's end, whatever was remembered."""
    assert silver_position(advanced(hint, WINDOW), unasked) == Position("source", 200, WINDOW.batch_id)


def test_a_replayed_older_batch_does_not_move_the_hint_back():
    """A cleared task of an old run leaves what a newer batch remembered."""
    assert advanced(corrected(NEWER), WINDOW) == corrected(NEWER)


def test_a_full_refresh_of_another_source_moves_the_hint():
    """After a re-created source the transaction ids are smaller; the batch id decides."""
    refresh = replace(WINDOW, source="new", upto=7, mode=Mode.REFRESH)
    assert silver_position(advanced(corrected(OLDER), refresh), unasked) == Position("new", 7, WINDOW.batch_id)


@pytest.mark.parametrize("hint", [None, corrected(None), corrected(OLDER)])
def test_a_trial_moves_nothing(hint):
    """A trial loads some rows only, so nothing may be taken as held."""
    assert advanced(hint, replace(WINDOW, mode=Mode.TRIAL)) == hint


def test_a_hint_is_plain_data():
    """The hint goes through JSON and comes back the same: it is stored outside."""
    hint = advanced(None, WINDOW)
    assert silver_position(json.loads(json.dumps(hint)), unasked) == WINDOW.position
