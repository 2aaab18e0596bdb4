"""When the positions that Airflow remembers are used, and when the sinks are asked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sys import path

import pytest
from airflow.sdk import Asset

path.insert(0, str(Path(__file__).parents[2] / "plugins"))

from medallion_state import ASK_AFTER, ASKED_KEY, bronze, remember, remembered, with_hint

from include.medallion.model.window import Mode, Position, Window

POSITIONS = {"silver": Position("source", 500, 20260101000000000)}
WINDOW = Window("one", "source", after=500, upto=900, batch_id=20260102000000000)


class Store(dict):
    """Values by key, as Airflow keeps them of an asset."""

    set = dict.__setitem__


@pytest.fixture
def context():
    """Return a context that remembers a position."""
    stores: dict[Asset, Store] = defaultdict(Store)
    made = {"asset_state_store": stores}
    remember(made, "one", POSITIONS)
    return made


def known(context, window=WINDOW):
    """Open a window; return the positions that were not asked for."""
    seen = []
    assert with_hint(context, "one", lambda positions: seen.append(positions) or window) == window
    return seen[0]


def test_the_sinks_are_asked_at_first_and_then_once_in_a_while(context):
    """In between what Airflow remembers is the hint."""
    assert [known(context), known(context)] == [{}, POSITIONS]
    then = datetime.now(UTC) - ASK_AFTER - timedelta(seconds=1)
    context["asset_state_store"][bronze("one")].set(ASKED_KEY, then.isoformat())
    assert [known(context), known(context)] == [{}, POSITIONS]


def test_a_sink_that_holds_less_than_is_remembered_is_asked_until_a_batch_has_moved_it(context):
    """It was restored; the run that reads its rows again may be killed."""
    known(context, replace(WINDOW, after=499))
    assert (remembered(context, "one"), known(context)) == ({}, {})


def test_a_full_refresh_asks_for_nothing(context):
    """Its window begins at the start whatever the sinks hold."""
    known(context, replace(WINDOW, after=0, mode=Mode.REFRESH))
    assert (remembered(context, "one"), known(context)) == (POSITIONS, {})
