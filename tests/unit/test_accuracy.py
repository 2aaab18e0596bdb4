"""How far coordinates are from the true ones, for any table that has them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.geocoders.coordinates.accuracy import as_text, measure
from include.medallion.lake.object_store import open_lake
from include.medallion.ops.accuracy import accuracy_of_file, accuracy_of_pipeline

DEGREE = 111_195  # metres of a degree of latitude
ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "land": ["Germany", "Germany", "USA", "USA"],
        "zip": ["10115", "10117", "98052", None],
        "north": [52.0, 52.0, 47.0, 47.0],
        "east": [13.0, 13.0, -122.0, -122.0],
        "latitude": [52.01, 52.03, 47.0, None],
        "longitude": [13.0, 13.0, -122.0, None],
        "geocode_radius_m": [2000.0, 2000.0, None, None],
        "_deleted_at": pa.nulls(4, pa.timestamp("us", "UTC")),
    }
)


@pytest.fixture
def connections(tmp_path):
    """Return connections to a lake in a folder, with a Gold table."""
    lake = open_lake(f"file://{tmp_path}", {})
    write_deltalake(lake.table("people"), ROWS)
    return Connections("", lambda: None, lake, {})


def pipeline(table="people"):
    """Return a pipeline with a geocode."""
    geocode = {"geocode": {"postcode": "zip", "country_column": "land"}}
    return Pipeline(name="people", source={"table": "people", "key": "id"}, enrich=geocode, gold={"table": table})


def check(found):
    """Check the accuracy of ROWS."""
    germany, america, unknown, every = found
    assert (germany.country, germany.rows, germany.located) == ("DE", 2, 2)
    assert germany.median_m == pytest.approx(0.02 * DEGREE, rel=1e-3)
    assert germany.p99_m == pytest.approx(0.0298 * DEGREE, rel=1e-3)
    assert germany.within_radius == 0.5
    assert (america.country, america.rows, america.located, america.median_m) == ("US", 1, 1, 0)
    assert (unknown.country, unknown.rows, unknown.located) == ("ZZ", 1, 0)
    assert (every.country, every.rows, every.located) == ("all", 4, 3)


def test_true_coordinates_in_the_gold_table_are_compared(connections):
    """Median and quantiles by country, and the share of rows that lie in their error radius."""
    check(accuracy_of_pipeline(pipeline(), connections, ("north", "east"), None))


def test_true_coordinates_in_a_file_are_compared(connections, tmp_path):
    """The file has the key, in any type of number, and the coordinates."""
    truth = ROWS.select(["id", "north", "east"]).set_column(0, "id", ROWS["id"].cast(pa.int32()))
    pq.write_table(truth, tmp_path / "truth.parquet")
    check(accuracy_of_pipeline(pipeline(), connections, ("north", "east"), tmp_path / "truth.parquet"))


def test_a_file_of_postcodes_is_asked_of_a_geocoder(tmp_path):
    """Any CSV file with true coordinates will do, without a pipeline."""
    file = tmp_path / "shops.csv"
    file.write_text("zip,country,lat,lon\n98052,USA,47.6718,-122.1232\n00000,USA,1,1\n,USA,1,1\n")
    america, every = accuracy_of_file(file, {}, None, "offline", {})
    assert america._replace(country="all") == every
    assert (every.rows, every.located, every.median_m) == (2, 1, pytest.approx(0, abs=1))


@pytest.mark.parametrize(
    ("table", "columns", "prefix", "message"),
    [
        ("none", ("north", "east"), "", "there is no Gold table none yet"),
        ("people", ("y", "x"), "", r"has no columns \['x', 'y'\]"),
        ("people", ("north", "east"), "home_", "has no geocode with the prefix 'home_'"),
    ],
)
def test_what_is_missing_is_named(connections, table, columns, prefix, message):
    """The message says which table, column or geocode."""
    with pytest.raises(SettingError, match=message):
        accuracy_of_pipeline(pipeline(table), connections, columns, None, prefix)


def test_the_report_is_a_table():
    """A line for each country, with a dash where nothing is known."""
    found = pa.table({name: pa.array([None], pa.float64()) for name in ("latitude", "longitude", "radius_m")})
    head, line, _ = as_text(measure(pa.array(["FR"]), found, np.array([48.0]), np.array([2.0])))
    assert head.split() == [
        "country",
        "rows",
        "located",
        "median",
        "km",
        "90",
        "%",
        "km",
        "99",
        "%",
        "km",
        "in",
        "radius",
    ]
    assert line.split() == ["FR", "1", "0", "0%", "-", "-", "-", "-"]
