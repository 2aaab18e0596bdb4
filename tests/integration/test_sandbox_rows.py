"""The sample rows: the same everywhere, loaded once, with the truth kept apart."""

from __future__ import annotations

import psycopg
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from include.sandbox import layers, rows
from include.sandbox.errors import SandboxError


@pytest.fixture
def load(postgres, bronze_dsn, tmp_path):
    """Return the loader into this test's database."""
    database = bronze_dsn.rpartition("/")[2]
    return lambda number: rows.load(postgres, database, number, tmp_path / "truth")


def ask(dsn, statement):
    """Return the only row of an answer."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchone()


def test_rows_are_the_same_every_time():
    """A block of employees is drawn alike in every process."""
    assert rows.block(1) == rows.block(1)


def test_rows_are_spread_over_the_country():
    """The first ten thousand live in most of the postcode areas, not in one state."""
    codes = {code[:2] for code in rows.block(0)[0]["postcode"].to_pylist() if code and code[:2].isdigit()}
    assert len(codes) > 80


def test_a_few_postcodes_are_odd():
    """Some are missing or mistyped, but few."""
    codes = rows.block(0)[0]["postcode"].to_pylist()
    odd = sum(1 for code in codes if not code or len(code) != 5 or not code.isdigit())
    assert 100 < odd < 400
    assert None in codes


def test_second_load_adds_nothing(load):
    """Rows that are there are not loaded again."""
    assert (load(25), load(25)) == (25, 0)


def test_larger_load_adds_the_difference(load, bronze_dsn):
    """Growing the sample keeps what is there."""
    assert (load(10), load(25)) == (10, 15)
    assert ask(bronze_dsn, "SELECT count(*), max(id) FROM employees") == (25, 25)


def test_next_insert_gets_the_next_id(load, bronze_dsn):
    """The sequence knows of the loaded rows."""
    load(10)
    assert ask(bronze_dsn, "INSERT INTO employees (first_name) VALUES ('new') RETURNING id") == (11,)


def test_truth_covers_each_row_once(load, tmp_path):
    """After several loads there is one true place per row, and none of it is in the table."""
    load(10)
    load(25)
    assert sorted(ds.dataset(tmp_path / "truth").to_table()["id"].to_pylist()) == list(range(1, 26))


def test_too_many_rows_are_refused(load):
    """There are only so many real addresses."""
    with pytest.raises(SandboxError, match="ROWS"):
        load(2_000_000)


def test_distance_is_in_kilometres(tmp_path):
    """One degree of latitude is 111 km."""
    truth = rows.pa.table({"id": [1], "latitude": [10.0], "longitude": [20.0]}, schema=rows.TRUTH)
    pq.write_table(truth, tmp_path / "truth.parquet")
    found = rows.pa.table({"id": [1, 2], "latitude": [11.0, None], "longitude": [20.0, None]})
    assert layers.distances(found, tmp_path, "id").to_pylist() == [pytest.approx(111.2, abs=0.1)]
