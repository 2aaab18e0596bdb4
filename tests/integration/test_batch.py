"""One batch after another, from a real Postgres into a real Delta log and a Snowflake-protocol server."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable

EMPLOYEES = {
    "name": "employees",
    "source": {"table": "employees", "key": "id"},
    "enrich": {"geocode": {"postcode": "postcode", "country": "US"}},
    "silver": {"table": "EMPLOYEES_ENRICHED"},
    "gold": {"table": "employees_enriched"},
}
DDL = """CREATE TABLE employees (id serial PRIMARY KEY, first_name varchar(100), postcode varchar(10),
         salary numeric(10, 2), employment_start date, seen timestamptz)"""
INSERT = """INSERT INTO employees (first_name, postcode, salary, employment_start, seen)
            VALUES (%s, %s, %s, '2020-02-29', '2021-01-01 10:00:00.123456+02')"""


class Trial(OneTable):
    """One table, its pipeline, and what has arrived."""

    def __init__(self, dsn, lake_uri, lake, silver):
        super().__init__(dsn, lake_uri, lake, silver, EMPLOYEES["source"])
        self.pipeline = Pipeline.model_validate(EMPLOYEES)

    def insert(self, *values):
        """Insert an employee."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(INSERT, values)


@pytest.fixture
def trial(bronze_dsn, lake_uri, lake, silver):
    """Lend a table with three employees."""
    trial = Trial(bronze_dsn, lake_uri, lake, silver)
    trial.sql(DDL)
    for row in [("Ann", "98052", "1.50"), ("Bob", None, None), ("Cid", "XXXXX", "-2.25")]:
        trial.insert(*row)
    return trial


def test_rows_already_there_arrive_in_both_sinks_with_equal_values(trial):
    """The first run brings every row to both sinks, the same in each."""
    summary = trial.run()
    assert summary.sinks["silver"].inserted == summary.sinks["gold"].inserted == 3
    assert trial.silver() == trial.gold()
    assert [r["geocode_status"] for r in trial.gold()] == ["OK", "NO_POSTCODE", "ZERO_RESULTS"]


def test_a_failed_look_up_has_no_coordinates(trial):
    """No row without an answer gets a coordinate; one with an answer gets the right one."""
    trial.run()
    ann, bob, cid = trial.gold()
    assert (round(ann["latitude"], 1), round(ann["longitude"], 1)) == (47.7, -122.1)
    assert [bob["latitude"], bob["longitude"], cid["latitude"], cid["longitude"]] == [None] * 4


def test_nothing_new_changes_nothing(trial):
    """A run without new rows returns nothing and makes no Delta commit."""
    trial.run()
    before = [r["_batch_id"] for r in trial.gold()]
    assert trial.run() is None
    assert [r["_batch_id"] for r in trial.gold()] == before


def test_only_what_changed_arrives(trial):
    """Inserts and updates since the last run are read; nothing else."""
    trial.run()
    trial.insert("Dee", "10001", 0)
    trial.sql("UPDATE employees SET first_name = 'Bobby' WHERE first_name = 'Bob'")
    summary = trial.run()
    assert (summary.read, summary.sinks["gold"].inserted, summary.sinks["gold"].updated) == (2, 1, 1)
    assert [r["first_name"] for r in trial.gold()] == ["Ann", "Bobby", "Cid", "Dee"]
    assert trial.silver() == trial.gold()


def test_a_replayed_batch_is_not_applied_again(trial):
    """Each step may run again with the same window: both sinks say that they hold it."""
    window = trial.begin()
    trial.stage(window)
    for sink in ("silver", "gold"):
        assert not trial.apply(window, sink).replayed
        assert trial.apply(window, sink).replayed


def test_a_full_refresh_replaces_both_sinks(trial):
    """What was deleted in the source is gone from both sinks after a full refresh, and nothing is paid twice."""
    trial.run()
    trial.sql("DELETE FROM employees WHERE first_name = 'Ann'")
    summary = trial.run(mode=Mode.REFRESH)
    assert [r["first_name"] for r in trial.gold()] == ["Bob", "Cid"]
    assert trial.silver() == trial.gold()
    assert summary.lookups.calls == 0


def test_a_trial_leaves_the_watermark(trial):
    """A trial loads so many rows; the next run reads all the same."""
    assert trial.run(mode=Mode.TRIAL, max_rows=1).read == 1
    assert trial.run().read == 3
    assert trial.silver() == trial.gold()


def test_an_older_batch_leaves_what_a_newer_one_wrote_of_the_same_version(trial):
    """A trial replayed after a newer batch with the same rows changes nothing: both sinks call it superseded."""
    window = trial.begin(mode=Mode.TRIAL, max_rows=3)
    trial.stage(window)
    newer = trial.run().batch_id
    for sink in ("silver", "gold"):
        applied = trial.apply(window, sink)
        assert (applied.inserted, applied.updated, applied.superseded) == (0, 0, 3)
    assert {r["_batch_id"] for r in trial.gold()} == {newer}
    assert trial.silver() == trial.gold()


def test_two_windows_that_got_one_batch_id_do_not_mix_their_rows(trial):
    """Ids come from clocks. What an older window stages meanwhile takes no row away from a newer one of the same id."""
    older = trial.begin()
    trial.insert("Dee", "10001", 0)
    newer = replace(trial.begin(), batch_id=older.batch_id)
    parts = trial.extract(newer)
    trial.extract(older)
    for part in parts:
        trial.enrich(newer, part.number)
    for sink in ("silver", "gold"):
        assert trial.apply(newer, sink).inserted == 4
    assert [r["first_name"] for r in trial.gold()] == ["Ann", "Bob", "Cid", "Dee"]
    assert trial.silver() == trial.gold()
