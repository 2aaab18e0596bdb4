"""When answers expire: spread over days under a budget, and with the answers that they are derived from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.sections.enrichment import FunctionSettings, GeocodeSettings
from include.medallion.enrich.expiry import expires_at, is_expired
from include.medallion.enrich.functions import open_function
from include.medallion.enrich.geocoding import open_geocoding
from include.medallion.enrich.join import build_lookup_table
from include.medallion.enrich.sources import SourceExpiry
from include.medallion.lookups.enrichment import KEEP_FOR
from include.medallion.lookups.results import LookupResults
from include.medallion.lookups.spread import spread_time
from include.medallion.model.columns import Column
from include.medallion.model.keys import KeyIndex, encode_keys

NOW = datetime(2026, 11, 26, tzinfo=UTC)
DAY = timedelta(days=1)


@given(st.lists(st.floats(-90, 90), min_size=1), st.floats(0, 1))
def test_a_spread_answer_expires_earlier_by_at_most_the_share(latitudes, share):
    """Never later than the terms allow, and the same every time."""
    keep = pa.array([30 * DAY] * len(latitudes), pa.duration("us"))
    spread = spread_time(keep, pa.array(latitudes), share)
    assert spread == spread_time(keep, pa.array(latitudes), share)
    assert all((1 - share) * 30 * DAY - timedelta(seconds=1) <= time <= 30 * DAY for time in spread.to_pylist())


def test_answers_of_one_day_expire_on_several():
    """A thousand places of one region are renewed over most of the six days."""
    latitudes = pa.array([47 + n / 1000 for n in range(1000)])
    days = [time.days for time in spread_time(pa.array([30 * DAY] * 1000), latitudes, 0.2).to_pylist()]
    assert {*days} >= {24, 25, 26, 27, 28, 29}
    assert max(days.count(day) for day in {*days}) < 300


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
    """Under a budget a row may expire after four fifths of the time; without one not before its end."""
    bounded, free = geocode(max_calls_per_day=10), geocode()
    batch = rows(bounded, *[("1", "OK", 47 + n / 100, 25) for n in range(50)])
    expired = is_expired(batch, bounded.tracked, NOW)
    assert 0 < sum(expired.to_pylist()) < 50
    assert not any(is_expired(batch, free.tracked, NOW).to_pylist())
    latest = expires_at(rows(free, ("1", "OK", 1.0, 0)), free.tracked)
    assert latest.to_pylist() == [NOW + 30 * DAY]


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
