"""Files of public postcode data become a table of places, and `geocoder: table` answers from it."""

from __future__ import annotations

from datetime import UTC, datetime
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders import open_geocoder
from include.medallion.geocoders.coordinates.centres import centres
from include.medallion.geocoders.location import LOCATED, Location, Sources
from include.medallion.geocoders.places import formats
from include.medallion.geocoders.places.store import Origin, import_places, list_imports
from include.medallion.lake.object_store import open_lake

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ORIGIN = Origin("GeoNames", "CC BY 4.0", "2026-11")
GEONAMES = [
    ("FR", "75001", "Paris 01 Louvre", "", "", "", "", "", "", "48.8592", "2.3417", "5"),
    ("FR", "97400", "Saint-Denis", "", "", "", "", "", "", "-20.8823", "55.4504", "5"),
    ("DE", "01945", "Tettau", "", "BB", "", "", "", "", "51.4333", "13.7333", "4"),
    ("DE", "01945", "Ruhland", "", "BB", "", "", "", "", "51.4576", "13.8664", "4"),
    ("GB", "OX1", "Oxford", "", "ENG", "", "", "", "", "51.7475", "-1.2594", "4"),
    ("GB", "SW1A 1AA", "London", "", "ENG", "", "", "", "", "51.5010", "-0.1416", "6"),
    ("GB", "SW1A 2AA", "London", "", "ENG", "", "", "", "", "51.5034", "-0.1276", "6"),
    ("US", "98052", "Redmond", "Washington", "WA", "King", "033", "", "", "47.6718", "-122.1232", "4"),
    ("US", "10001", "New York", "New York", "NY", "", "", "", "", "40.7484", "73.9967", "4"),
    ("CH", "8001", "Zuerich", "", "", "", "", "", "", "8.5410", "47.3667", ""),
    ("XX", "1", "Nowhere", "", "", "", "", "", "", "1", "1", ""),
    ("BE", "1000", "Brussel", "", "", "", "", "", "", "", "", ""),
]


@pytest.fixture
def lake(tmp_path):
    """Return an empty lake in a folder."""
    (tmp_path / "lake").mkdir()
    return open_lake(f"file://{tmp_path}/lake", {})


def written(path, text):
    """Write a file and return it."""
    path.write_text(text, "utf-8")
    return path


def geonames(folder, rows=GEONAMES):
    """Return a zip as GeoNames publishes it."""
    with ZipFile(folder / "allCountries.zip", "w") as archive:
        archive.writestr("readme.txt", "Readme for GeoNames Postal Code files")
        archive.writestr("allCountries.txt", "".join("\t".join(row) + "\n" for row in rows))
    return folder / "allCountries.zip"


def load(lake, file, everywhere=None, origin=ORIGIN, name="places", now=NOW, **columns):
    """Import a file as the command does."""
    layout = formats.detect(file, None, columns)
    return import_places(lake, name, formats.read(file, layout, everywhere), origin, now)


def answers(lake, *keys, query=None, **table):
    """Return what `geocoder: table` answers to keys: status, and coordinates, precision and radius if it has any."""
    settings = GeocodeSettings(postcode="zip", country_column="c", geocoder="table", table=table or None)
    opened = open_geocoder(settings, {}, Sources(lake, query))
    found = opened.locate_many(*(pa.array(column, pa.string()) for column in zip(*keys, strict=True)))
    assert found.schema == LOCATED
    assert [opened.locate(*key) for key in keys] == [Location(*row.values()) for row in found.to_pylist()]
    return [tuple(value for value in row.values() if value is not None) for row in found.to_pylist()]


def test_a_file_of_geonames_is_imported_and_answers(lake, tmp_path):
    """Each code is one place; several localities are their centre with a radius."""
    done = load(lake, geonames(tmp_path))
    assert (done.places, done.countries, done.rows) == (7, 5, 12)
    assert (done.unknown, done.unplaced, done.outside) == (1, 1, 2)
    paris, tettau, reunion = answers(lake, ("FR", "75001"), ("DE", "01945"), ("RE", "97400"))
    assert paris == ("OK", 48.8592, 2.3417, "CENTROID")
    assert reunion[:3] == ("OK", -20.8823, 55.4504)
    assert tettau[:4] == ("OK", pytest.approx(51.445, abs=0.01), pytest.approx(13.8, abs=0.01), "PLACE")
    assert tettau[4] == pytest.approx(4_800, rel=0.05)


def test_places_outside_of_their_country_or_state_are_skipped(lake, tmp_path):
    """A wrong sign and swapped axes are found when the data are built."""
    load(lake, geonames(tmp_path))
    assert answers(lake, ("US", "10001"), ("CH", "8001"), ("US", "98052")) == [
        ("ZERO_RESULTS",), ("UNSUPPORTED",), ("OK", 47.6718, -122.1232, "PLACE"),
    ]  # fmt: skip


def test_codes_and_their_areas_answer_for_each_other(lake, tmp_path):
    """OX1 answers for its codes, as an area; SW1A is the centre of its codes."""
    load(lake, geonames(tmp_path))
    in_oxford, oxford, whitehall, exact = answers(
        lake, ("GB", "OX1 2JD"), ("GB", "OX1"), ("GB", "SW1A"), ("GB", "SW1A 1AA")
    )
    assert in_oxford == oxford == ("OK", 51.7475, -1.2594, "AREA")
    assert whitehall[:4] == ("OK", pytest.approx(51.5022, abs=1e-4), pytest.approx(-0.1346, abs=1e-4), "AREA")
    assert whitehall[4] == pytest.approx(510, rel=0.05)
    assert exact[-1] == "CENTROID"


def test_what_the_table_lacks_has_a_status(lake, tmp_path):
    """A code that is missing is not a country that is."""
    load(lake, geonames(tmp_path))
    assert answers(lake, ("FR", "75999"), ("JP", "100-0001")) == [("ZERO_RESULTS",), ("UNSUPPORTED",)]


def test_an_import_replaces_the_earlier_one_of_its_source(lake, tmp_path):
    """A code that is gone is gone, other countries and sources stay, and each import is recorded."""
    load(lake, geonames(tmp_path))
    load(lake, geonames(tmp_path, [("FR", "75002", *GEONAMES[0][2:])]), origin=Origin("GeoNames", "CC BY 4.0", "new"))
    own = written(tmp_path / "own.csv", "postcode,latitude,longitude\n98052,47.6,-122.1\n")
    load(lake, own, "US", Origin("survey", "ours", "1"))
    found = answers(lake, ("FR", "75001"), ("FR", "75002"), ("DE", "01945"), ("US", "98052"))
    assert [answer[0] for answer in found] == ["ZERO_RESULTS", "OK", "OK", "OK"]
    assert found[3][1:3] == (47.6, -122.1)
    recorded = {
        (one["source"], one["licence"], one["version"]): one["count_all"] for one in list_imports(lake, "places")
    }
    assert recorded == {
        ("GeoNames", "CC BY 4.0", "2026-11"): 5, ("GeoNames", "CC BY 4.0", "new"): 1, ("survey", "ours", "1"): 1,
    }  # fmt: skip


ONSPD = """pcd,pcd2,pcds,dointr,doterm,oseast1m,osnrth1m,lat,long,imd
"SW1A1AA","SW1A 1AA","SW1A 1AA",198001,,529090,179645,51.501009,-0.141588,1
"GY1 1AA","GY1  1AA","GY1 1AA",198001,,,,99.999999,0.000000,1
"""
CODE_POINT = """"SW1A1AA",10,529090,179645,"E92000001","E19000003","E18000007","","E09000033","E05013806"
"ZE3 9XP",90,0,0,"S92000003","","S08000026","","S12000027","S13002780"
"""


def test_the_directory_of_the_ons_is_imported(lake, tmp_path):
    """Its coordinate of codes without a place is 99.999999."""
    done = load(lake, written(tmp_path / "ONSPD_AUG_2026.csv", ONSPD))
    assert (done.places, done.unplaced) == (1, 1)
    assert answers(lake, ("GB", "SW1A 1AA")) == [("OK", 51.501009, -0.141588, "POSTCODE")]


def test_code_point_open_is_imported(lake, tmp_path):
    """Eastings and northings become degrees; without a place they are 0."""
    done = load(lake, written(tmp_path / "sw.csv", CODE_POINT))
    assert (done.places, done.unplaced) == (1, 1)
    ((status, latitude, longitude, _),) = answers(lake, ("GB", "SW1A 1AA"))
    assert (status, latitude, longitude) == ("OK", pytest.approx(51.501, abs=1e-3), pytest.approx(-0.1416, abs=1e-3))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("country_code,zipcode,latitude,longitude\nGermany,D-10115,52.53,13.38\n", {}),
        ("land;PLZ;Lat;lon\nDE;10115;52.53;13.38\n", {"country": "land"}),
        ("\ufeffcc\tcode\ty\tx\nDEU\t10 115\t52.53\t13.38\n",
         {"country": "cc", "postcode": "code", "latitude": "y", "longitude": "x"}),
        ('"note","country","postal_code","lat","lng"\n"a, ""b""","276","10115","52.53","13.38"\n', {}),
    ],
)  # fmt: skip
def test_any_csv_is_imported(lake, tmp_path, text, columns):
    """Commas, semicolons or tabs, quoted or not; columns by their usual names or by those that are given."""
    assert load(lake, written(tmp_path / "own.csv", text), **columns).places == 1
    assert answers(lake, ("DE", "10115")) == [("OK", 52.53, 13.38, "POSTCODE")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"no columns \['postcode', 'latitude', 'longitude'\] among \['a', 'b'\]: .*--postcode"),
        ("", "is empty"),
        ("postcode,lat,lon\n1,2,3\n", "1 have no country or postcode .* --country"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(lake, tmp_path, text, message):
    """The message says what is missing and which option helps."""
    with pytest.raises(SettingError, match=message):
        load(lake, written(tmp_path / "own.csv", text))


def test_no_table_of_others_is_written_to(lake, tmp_path):
    """A Gold table, or one of the user's own, is not replaced by imported places."""
    write_deltalake(lake.table("people"), OWN)
    with pytest.raises(SettingError, match="--table people is not a table that"):
        load(lake, geonames(tmp_path), name="people")


def test_a_missing_file_is_refused(lake, tmp_path):
    """Its name is in the message."""
    with pytest.raises(SettingError, match=r"none\.csv is no file"):
        load(lake, tmp_path / "none.csv")


OWN = pa.table(
    {"land": ["Deutschland", "USA", "Atlantis", None], "plz": ["D-10115", "98052", "1", "2"],
     "y": [52.53, 47.67, 1.0, 1.0], "x": [13.38, -122.12, 1.0, 1.0], "metres": [900, None, None, None]},
)  # fmt: skip
NAMES = {"country_column": "land", "postcode": "plz", "latitude": "y", "longitude": "x", "radius_m": "metres"}


def test_an_own_delta_table_answers_in_any_spelling(lake):
    """Countries and postcodes are normalised as those of rows are; rows without a country count for nothing."""
    write_deltalake(lake.table("reference/own"), OWN)
    found = answers(lake, ("DE", "10115"), ("US", "98052"), delta="reference/own", **NAMES)
    assert found == [("OK", 52.53, 13.38, "POSTCODE", 900.0), ("OK", 47.67, -122.12, "POSTCODE")]


@pytest.mark.parametrize("folder", [False, True])
def test_an_own_parquet_file_or_folder_answers(lake, tmp_path, folder):
    """A table of one country needs no column for it; numbers are postcodes, too."""
    rows = pa.table({"postcode": [10115, 1067], "latitude": [52.53, 51.05], "longitude": [13.38, 13.74]})
    (tmp_path / "lake" / "own").mkdir()
    pq.write_table(rows, tmp_path / "lake" / "own" / "part.parquet")
    path = "own" if folder else "own/part.parquet"
    assert answers(lake, ("DE", "10115"), ("DE", "01067"), parquet=path, country="DE") == [
        ("OK", 52.53, 13.38, "POSTCODE"), ("ZERO_RESULTS",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"delta": "none"}, "there is no Delta table none .* places import"),
        ({"parquet": "none.parquet"}, r"there is no Parquet file none\.parquet"),
        ({"delta": "own", **NAMES, "latitude": "lat"}, r"the table has no columns \['lat'\]: it has"),
        ({"delta": "own", **NAMES, "latitude": "land"}, "latitude is of type string and cannot be read as double"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(lake, table, message):
    """The message names what is missing, and no value."""
    write_deltalake(lake.table("own"), OWN)
    with pytest.raises(SettingError, match=message) as refused:
        answers(lake, ("DE", "10115"), **table)
    assert "Deutschland" not in str(refused.value)


def test_a_change_of_the_data_is_another_version(lake, tmp_path):
    """Rows that are added to a Delta table or a Parquet folder make another version; reading does not."""
    write_deltalake(lake.table("own"), OWN)
    (tmp_path / "lake" / "files").mkdir()
    for table, add in (
        ({"delta": "own"}, lambda: write_deltalake(lake.table("own"), OWN, mode="append")),
        ({"parquet": "files"}, lambda: pq.write_table(OWN, tmp_path / "lake" / "files" / "more.parquet")),
    ):
        settings = GeocodeSettings(postcode="zip", country="DE", geocoder="table", table=table | NAMES)
        version = open_geocoder(settings, {}, Sources(lake, None)).data_version
        before = version()
        assert before == version()
        add()
        assert before != version()


PLACES = st.tuples(st.floats(-89, 89), st.floats(-180, 180))


@given(st.lists(PLACES, min_size=1, max_size=6))
def test_no_place_is_farther_from_the_centre_than_the_radius(places):
    """Each place of a group lies within the radius; one place is its own centre."""
    north, east = np.array(places).T
    unknown = np.full(len(places), np.nan)
    found = centres(np.zeros(len(places), np.int64), north, east, unknown)
    if len(places) == 1:
        assert (found.latitudes[0], found.longitudes[0]) == places[0]
    else:
        assert 0 <= found.radii[0] <= 20_100_000


def test_places_across_the_antimeridian_have_their_centre_there():
    """The mean of 179 and -179 degrees is 180, not 0."""
    found = centres(np.array([0, 0]), np.array([-17.0, -17.0]), np.array([179.0, -179.0]), np.array([np.nan, np.nan]))
    assert abs(found.longitudes[0]) == pytest.approx(180)
    assert found.radii[0] == pytest.approx(106_300, rel=0.01)
