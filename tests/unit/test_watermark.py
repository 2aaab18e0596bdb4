"""The watermark between runs: a hint that never claims more than a sink holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import pytest

from include.medallion.model.window import Mode, Position, Window
from include.medallion.steps.open_window import read_positions
from include.medallion.steps.watermark import advanced, corrected

WINDOW = Window("people", "source", 100, 200, 20260101000000002)
OLDER = Position("source", 100, 20260101000000001)
NEWER = Position("source", 300, 20260101000000003)
BOTH = ("silver", "gold")


@dataclass
class Held:
    """A sink that holds a position and counts how often it is asked for it."""

    name: str = "silver"
    at: Position | None = OLDER
    remember_position: bool = True
    asked: int = 0

    def position(self, source):  # noqa: ARG002
        """Return the position."""
        self.asked += 1
        return self.at


@pytest.mark.parametrize("remembered", [OLDER, None])
def test_a_remembered_position_is_not_asked_for_again(remembered):
    """A hint, also that a sink is empty, spares the question: it could start a warehouse every minute."""
    sink = Held(at=NEWER)
    assert read_positions([sink], "source", {"silver": remembered}) == {"silver": remembered}
    assert sink.asked == 0


@pytest.mark.parametrize("held", [OLDER, None])
def test_without_a_hint_the_sink_is_asked(held):
    """A lost hint costs one question."""
    assert read_positions([Held(at=held)], "source", {}) == {"silver": held}


def test_a_sink_that_answers_cheaply_is_always_asked():
    """Its own position counts, not what is remembered."""
    sink = Held(at=NEWER, remember_position=False)
    assert read_positions([sink], "source", {"silver": OLDER}) == {"silver": NEWER}


@pytest.mark.parametrize("remembered", [{}, {"silver": None}, {"silver": OLDER}])
def test_a_batch_advances_the_hint(remembered):
    """After a batch the hint of every sink is the batch's end, regardless of what was remembered."""
    assert advanced(remembered, WINDOW, BOTH) == dict.fromkeys(BOTH, Position("source", 200, WINDOW.batch_id))


def test_a_replayed_older_batch_does_not_move_the_hint_back():
    """A cleared task of an old run keeps what a newer batch remembered, sink by sink."""
    moved = advanced({"silver": NEWER, "gold": OLDER}, WINDOW, BOTH)
    assert moved == {"silver": NEWER, "gold": WINDOW.position}


def test_a_full_refresh_of_another_source_moves_the_hint():
    """After a re-created source the transaction ids are smaller; the batch id decides."""
    refresh = replace(WINDOW, source="new", upto=7, mode=Mode.REFRESH)
    assert advanced({"silver": OLDER}, refresh, ["silver"]) == {"silver": Position("new", 7, WINDOW.batch_id)}


@pytest.mark.parametrize("remembered", [{}, {"silver": None}, {"silver": OLDER}])
@pytest.mark.parametrize("mode", [mode for mode in Mode if not mode.advances_watermark])
def test_a_batch_of_some_rows_moves_nothing(remembered, mode):
    """A trial, for example, loads some rows only: a sink does not hold all rows up to its end."""
    assert advanced(remembered, replace(WINDOW, mode=mode), BOTH) == remembered


def test_a_correction_concerns_one_sink():
    """Once a sink was found to hold less, its hint is what it holds; that of another sink stays."""
    assert corrected({"silver": NEWER, "gold": OLDER}, "silver", None) == {"silver": None, "gold": OLDER}


def test_a_hint_survives_its_way_through_json():
    """The scheduler stores the hint as JSON and gives back the same."""
    hint = advanced({}, WINDOW, ["silver"])
    stored = json.loads(json.dumps({name: asdict(position) for name, position in hint.items()}))
    assert {name: Position(**position) for name, position in stored.items()} == hint
