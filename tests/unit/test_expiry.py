"""When answers are renewed: over days within a budget, and with the answers that they are derived from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.sections.enrichment import FunctionSettings, GeocodeSettings, LookupSettings
from include.medallion.enrich.expiry import expires_at, is_expired, needs_refresh
from include.medallion.enrich.functions import open_function
from include.medallion.enrich.geocoding import open_geocoding
from include.medallion.enrich.join import build_lookup_table
from include.medallion.enrich.sources import SourceExpiry
from include.medallion.lookups.enrichment import KEEP_FOR
from include.medallion.lookups.forecast import renew_until
from include.medallion.lookups.results import LookupResults
from include.medallion.model.columns import TIMESTAMP_UTC, Column
from include.medallion.model.keys import KeyIndex, encode_keys

NOW = datetime(2026, 11, 26, tzinfo=UTC)
DAY = timedelta(days=1)


@given(st.integers(0, 400), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_a_refresh_a_day_renews_everything_in_time(keys, keep, spare, seed):
    """However answers arrived, none expires before it is renewed, and no day needs more calls than its budget."""
    rng = np.random.default_rng(seed)
    budget = -(-keys // keep) + spare // 10
    expiries = np.array([NOW + timedelta(hours=int(h)) for h in rng.integers(1, 24 * keep + 1, keys)], dtype=object)
    made = []
    for day in range(3 * keep):
        now = NOW + day * DAY
        until = renew_until(pa.array(list(expiries), TIMESTAMP_UTC), budget, now)
        due = np.array([e <= max(now, until or now) for e in expiries], bool)
        chosen = np.argsort(expiries, kind="stable")[: min(due.sum(), budget)] if keys else []
        made.append(len(chosen))
        for one in chosen:
            expiries[one] = now + keep * DAY
        assert day < keep or all(e > now for e in expiries)
    assert max(made, default=0) <= budget


def test_answers_of_one_day_are_renewed_on_several():
    """A thousand answers of one hour, with fifty calls a day, begin to be renewed twenty days before they expire."""
    expiries = pa.array([NOW + 30 * DAY + timedelta(seconds=n) for n in range(1000)], TIMESTAMP_UTC)
    counts = {}
    for days in (0, 10, 11, 12):
        until = renew_until(expiries, 50, NOW + days * DAY)
        counts[days] = pc.sum(pc.less_equal(expiries, pa.scalar(until, TIMESTAMP_UTC))).as_py() if until else 0
    assert counts == {0: 0, 10: 0, 11: 50, 12: 100}


def test_a_budget_that_suffices_renews_nothing_early():
    """An answer that is renewed before it expires costs calls."""
    expiries = pa.array([NOW + n * DAY for n in range(1, 31)] * 50, TIMESTAMP_UTC)
    assert renew_until(expiries, 50, NOW) is None
    assert renew_until(pa.array([], TIMESTAMP_UTC), 1, NOW) is None


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        ({}, None),
        ({"max_calls_per_run": 40}, 40),
        ({"max_calls_per_day": 30, "max_calls_per_run": 40}, 30),
        ({"max_calls_per_month": 310}, 10),
        ({"max_calls_per_day": 0}, 0),
    ],
)
def test_the_budgets_say_what_one_refresh_a_day_may_call(settings, calls):
    """The smallest one counts, that of a month by its longest."""
    assert LookupSettings(**settings).calls_per_day == calls


def geocode(**settings):
    """Return the geocoding by Google."""
    made = GeocodeSettings(postcode="zip", country="US", geocoder="google_geocoding", **settings)
    return open_geocoding(made, {"GOOGLE_API_KEY": "x" * 20})


def rows(enrichment, *answers):
    """Return rows with the columns that a geocode adds, from these answers: (zip, status, latitude, age in days)."""
    lines = []
    for postcode, status, latitude, age in answers:
        line = {"geocode_status": status, "latitude": latitude, "longitude": latitude, "geocoded_at": NOW - age * DAY}
        lines.append({"zip": postcode, "geocode_provider": "google_geocoding", **line})
    names = pa.schema([("zip", pa.string()), *enrichment.fields])
    return pa.RecordBatch.from_pylist(lines, schema=names)


def test_rows_expire_as_their_cached_answers_do():
    """At the end of their time-to-live, with a budget or without; a forecast renews earlier, and nulls nothing out."""
    bounded = geocode(max_calls_per_day=10)
    batch = rows(bounded, ("1", "OK", 47.5, 25), ("2", "OK", 47.6, 29), ("3", "OK", 47.7, 31))
    assert expires_at(batch, bounded.tracked).to_pylist() == [NOW + 5 * DAY, NOW + DAY, NOW - DAY]
    ahead = replace(bounded.tracked, renew_until=NOW + 2 * DAY)
    assert needs_refresh(batch, ahead, NOW).to_pylist() == [False, True, True]
    assert is_expired(batch, ahead, NOW).to_pylist() == [False, False, True]


@pytest.fixture
def derived():
    """Return a function of coordinates whose answers may be kept for a year."""
    returns = {"office": "string"}
    settings = FunctionSettings(
        call="docs.examples.nearest_office:nearest_office",
        keys=["latitude", "longitude"],
        returns=returns,
        keep_days=365,
    )
    columns = tuple(Column(name, pa.float64(), "FLOAT") for name in settings.keys)
    return open_function(settings, columns)


def test_a_cache_of_coordinates_expires_with_them(derived):
    """The earliest of a key's coordinates counts; a function of other columns keeps its own time."""
    source = geocode()
    table = build_lookup_table(LookupResults(source, {}), pa.chunked_array([pa.nulls(3, pa.int32())]))
    batch = rows(source, ("1", "OK", 47.5, 10), ("2", "OK", 47.5, 20), ("3", "OK", 48.5, 29.5))
    known, expiry = KeyIndex(), SourceExpiry(derived, [table])
    expiry.add(batch, encode_keys(batch, derived.reads, derived.normalise, known), known)
    answers = expiry.bound(derived, known, NOW).call(list(known.numbers))
    assert answers[KEEP_FOR].to_pylist() == [10 * DAY, 0.5 * DAY]
    unrelated = SourceExpiry(derived, [])
    unrelated.add(batch, encode_keys(batch, derived.reads, derived.normalise, known), known)
    assert unrelated.bound(derived, known, NOW) is derived


def test_coordinates_that_never_expire_bound_nothing(derived):
    """Those of the offline geocoder may be kept for ever, in any cache."""
    source = geocode()
    table = build_lookup_table(LookupResults(source, {}), pa.chunked_array([pa.nulls(1, pa.int32())]))
    batch = rows(source, ("1", "OK", 47.5, 10))
    at = batch.schema.get_field_index("geocode_provider")
    batch = batch.set_column(at, batch.schema.field(at), pa.array(["offline"]))
    known, expiry = KeyIndex(), SourceExpiry(derived, [table])
    expiry.add(batch, encode_keys(batch, derived.reads, derived.normalise, known), known)
    assert expiry.bound(derived, known, NOW) is derived
