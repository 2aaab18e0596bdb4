"""Street addresses: one key each, Google's verdict on them, and rows with both."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.enrich.geocoding import open_geocoding
from include.medallion.errors import SettingError
from include.medallion.geocoders.google_address_validation import LONGEST_ADDRESS, _judged_address
from include.medallion.geocoders.location import Status
from include.medallion.geocoders.postcodes.addresses import normalise_address
from include.medallion.model.columns import Column
from include.sandbox.google import KEY, serving

ADDRESS = {"geocoder": "google_address_validation", "address": ["street", "city"]}


@pytest.mark.parametrize(
    "parts",
    [
        ["1 Microsoft Way", "Redmond"],
        [" 1  microsoft way. ", "REDMOND,"],
        ["1 Microsoft Way,\r\nRedmond"],
        ["1 Microsoft\u00a0Way\u200b", None, "Redmond"],
        ["\uff11 Microsoft Way", "", "Redmond"],
    ],
)
def test_every_spelling_of_an_address_is_one(parts):
    """Case, blanks, invisible and full-width characters and punctuation at the end of words do not count."""
    assert normalise_address(parts) == "1 MICROSOFT WAY\nREDMOND"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["1 Main St"], ["11 Main St"]),
        (["1.5 Mile Rd"], ["15 Mile Rd"]),
        (["1 Main St", "Paris"], ["1 Main St", "London"]),
        (["Street 1", "2"], ["Street 12"]),
        (["12-14 Hill"], ["1214 Hill"]),
    ],
)
def test_two_addresses_are_two(one, other):
    """Nothing that tells houses apart is left out."""
    assert normalise_address(one) != normalise_address(other)


@given(st.lists(st.text(max_size=12), max_size=3))
def test_a_normalised_address_is_its_own(parts):
    """Normalising twice changes nothing."""
    once = normalise_address(parts)
    assert normalise_address([once]) == once


@pytest.fixture
def google():
    """Start the stand-in, with nothing wrong."""
    with serving() as server:
        yield server


def enrichment(server, columns=(), **settings):
    """Open the geocoding of addresses on the stand-in."""
    environ = {"GOOGLE_API_KEY": KEY, "GOOGLE_ADDRESS_VALIDATION_URL": server.validation_url}
    chosen = {"postcode": "zip", "country_column": "land"} | ADDRESS | settings
    return open_geocoding(GeocodeSettings(**chosen), environ, columns)


def answers(made, *rows):
    """Return the answers to rows of (country, postcode, street, city); None without a key."""
    keys = made.normalise([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])
    return [key and made.call([key]).to_pylist()[0] for key in keys]


def test_an_address_has_a_coordinate_a_precision_and_a_verdict(google):
    """A house is accepted; a street without a number is to be fixed, and says so by its precision."""
    house, street = answers(
        enrichment(google), ("USA", "98052", "1 Microsoft Way", "Redmond"), ("US", "98052", "Microsoft Way", None)
    )
    said = (house["geocode_status"], house["geocode_precision"], house["geocode_verdict"])
    assert said == ("OK", "PREMISE", "ACCEPT")
    assert house["latitude"] == pytest.approx(47.67, abs=0.01)
    assert (street["geocode_precision"], street["geocode_verdict"]) == ("ROUTE", "FIX")


def test_the_address_is_the_key(google):
    """Two houses of one postcode are two keys; a row without an address is its postcode; one without both is none."""
    made = enrichment(google)
    rows = [("US", "98052", "1 A", None), ("USA", "98052-1234", "1 a.", ""), ("US", "98052", "2 A", None)]
    rows += [("US", "98052", None, None), ("US", None, "1 A", None), ("US", None, None, " "), (None, "1", "1 A", None)]
    keys = made.normalise([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])
    assert keys[:2] == [("US", "98052", "1 A")] * 2
    assert keys[2:] == [("US", "98052", "2 A"), ("US", "98052", ""), ("US", "", "1 A"), None, ("ZZ", "1", "1 A")]
    assert made.settle([key for key in keys if key]).to_pylist() == [None] * 5 + ["UNKNOWN_COUNTRY"]
    assert (made.cache, made.key.names) == ("lookups_addresses", ["country", "postcode", "address"])
    assert made.fields.field("geocode_verdict").type == pa.string()


def test_an_address_in_another_country_is_none(google):
    """A place elsewhere is no coordinate of this row; an address without a postcode may be none that is known."""
    google.fail("wrong_country")
    assert answers(enrichment(google), ("US", "98052", "1 A", None))[0]["geocode_status"] == "WRONG_COUNTRY"


def test_a_row_without_an_address_is_looked_up_by_its_postcode(google):
    """It has no verdict."""
    (answer,) = answers(enrichment(google), ("US", "98052", None, None))
    assert (answer["geocode_status"], answer["geocode_verdict"]) == ("OK", None)


def test_an_address_that_is_too_long_is_not_sent(google):
    """Google takes 280 characters: the row goes to the quarantine."""
    (answer,) = answers(enrichment(google), ("US", "98052", "1 " + "A" * LONGEST_ADDRESS, None))
    assert answer["geocode_status"] == "INVALID_REQUEST"
    assert google.calls == []


@pytest.mark.parametrize("geocoder", ["offline", "google_geocoding"])
def test_a_geocoder_of_postcodes_refuses_addresses(google, geocoder):
    """The message names the geocoder that takes them."""
    with pytest.raises(SettingError, match=r"geocode\.address: .* geocoder: google_address_validation"):
        open_geocoding(
            GeocodeSettings(postcode="zip", country="US", **ADDRESS | {"geocoder": geocoder}), {"GOOGLE_API_KEY": KEY}
        )


def test_a_column_that_holds_no_address_is_refused(google):
    """Bytes are a mistake in the pipeline file."""
    with pytest.raises(SettingError, match=r"enrich\.geocode\.address: column city .* cast it"):
        enrichment(google, [Column("city", pa.binary(), "")])


HOUSE = {
    "address": {"postalAddress": {"regionCode": "US"}},
    "geocode": {"location": {"latitude": 47.6, "longitude": -122.1}, "placeTypes": ["premise"]},
}


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ({"validationGranularity": "PREMISE", "addressComplete": True}, "ACCEPT"),
        ({"validationGranularity": "SUB_PREMISE", "addressComplete": True, "hasInferredComponents": True}, "CONFIRM"),
        ({"validationGranularity": "PREMISE", "addressComplete": True, "hasReplacedComponents": True}, "CONFIRM"),
        ({"validationGranularity": "PREMISE"}, "FIX"),
        ({"validationGranularity": "ROUTE", "addressComplete": True}, "FIX"),
        ({}, "FIX"),
        ({"possibleNextAction": "CONFIRM_ADD_SUBPREMISES", "addressComplete": True}, "CONFIRM_ADD_SUBPREMISES"),
    ],
)
def test_the_verdict_is_googles_advice(verdict, word):
    """Its own word, or what its documentation says of the verdict."""
    assert _judged_address("US", HOUSE | {"verdict": verdict}).verdict == word


def test_a_city_is_no_address():
    """A place that is larger than the address has no coordinate, whatever the verdict."""
    city = HOUSE | {"geocode": HOUSE["geocode"] | {"placeTypes": ["locality", "political"]}}
    found = _judged_address("US", city)
    assert (found.status, found.latitude, found.verdict) == (Status.ZERO_RESULTS, None, "FIX")
