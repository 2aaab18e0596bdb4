"""Pipelines without an enrichment, without Silver or without Gold: what they have works as in a complete one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.geocoding import GEOCODE_COLUMNS
from include.medallion.errors import SettingError
from include.medallion.model.differences import Difference
from include.medallion.model.window import Mode
from include.medallion.ops.maintenance import maintain, retention
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

DDL = """CREATE TABLE people (id int PRIMARY KEY, name text, salary numeric(10, 2), hired date, seen timestamptz,
         photo bytea, active boolean, score float8, postcode text)"""
INSERT = """INSERT INTO people VALUES
    (1, 'Ann', 1234.50, '2020-02-29', '2021-01-01 10:00:00.123456+02', '\\x00ff', true, 0.1, '98052'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'Zo\u00eb', -0.01, '0001-01-01', '9999-12-31 23:59:59.999999+00', '', false, '-Infinity', 'none')"""
SILVER, GOLD = {"silver": {"table": "ONE"}}, {"gold": {"table": "one"}}
GEOCODE = {"enrich": {"geocode": {"postcode": "postcode", "country": "US", "geocoder": "offline"}}}
SECTIONS = {
    "silver only": SILVER,
    "gold only": GOLD,
    "no enrichment": SILVER | GOLD,
    "silver and enrichment": SILVER | GEOCODE,
    "gold and enrichment": GOLD | GEOCODE,
}
EACH_SECTION = ("silver only", "gold and enrichment", "no enrichment")
"""Sections that each are there, and each are left out, in one of these."""
ADDED = {*GEOCODE_COLUMNS}
SYSTEM = {"_version", "_batch_id", "_loaded_at", "_deleted_at"}


class People(OneTable):
    """A table whose pipeline has only some of the sections."""

    def describe(self, sections):
        """Give the pipeline these sections beside its source."""
        self.pipeline = Pipeline.model_validate({"name": "one", "source": {"table": "people", "key": "id"}, **sections})

    def source(self):
        """Return the source's rows, ordered by key."""
        return self.sql("SELECT * FROM people ORDER BY id")

    def sinks(self):
        """Return the rows of each sink that the pipeline has, as mappings, ordered by key."""
        readers = {"silver": self.silver, "gold": self.gold}
        return {name: readers[name]() for name in self.pipeline.sink_steps}

    def silver(self):
        """Return Silver's rows, also where there is no Gold that has the names of the columns."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT * FROM ONE ORDER BY ID")
            names = [column[0].lower() for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def reconcile(self):
        """Compare the source with the sinks."""
        return reconcile(self.pipeline, self.connections)

    def live(self):
        """Return the values that each sink holds in the columns of the source, without deleted rows."""
        live = {name: [row for row in rows if row["_deleted_at"] is None] for name, rows in self.sinks().items()}
        return {name: [_values(row) for row in rows] for name, rows in live.items()}


def _values(row):
    return tuple(value for name, value in row.items() if name not in ADDED | SYSTEM)


@pytest.fixture(params=EACH_SECTION)
def people(request, bronze_dsn, lake_uri, lake, silver):
    """Return a table of three rows with a pipeline of each kind."""
    people = People(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.describe(SECTIONS[request.param])
    people.sql(DDL, INSERT)
    return people


def everywhere(people, rows):
    """Return what `live` returns if all sinks hold these rows."""
    return dict.fromkeys(people.pipeline.sink_steps, rows)


@pytest.mark.parametrize("people", SECTIONS, indirect=True)
def test_values_are_equal_to_the_sources(people):
    """Each sink holds the source's values in every type, and only the columns that its pipeline has."""
    summary = people.run()
    assert people.live() == everywhere(people, people.source())
    for rows in people.sinks().values():
        assert {*rows[0]} & ADDED == (ADDED if people.pipeline.enrich else set())
    assert set(summary.sinks) == set(people.pipeline.sink_steps)
    assert summary.lookups.keys == (2 if people.pipeline.enrich else 0)


def test_changes_arrive_and_nothing_new_is_nothing(people):
    """The next run reads what changed; the one after it finds nothing."""
    people.run()
    people.sql("UPDATE people SET name = 'Anna' WHERE id = 1", "INSERT INTO people (id) VALUES (4)")
    summary = people.run()
    assert (summary.read, {(a.inserted, a.updated) for a in summary.sinks.values()}) == (2, {(1, 1)})
    assert people.live() == everywhere(people, people.source())
    assert people.run() is None


def test_a_replay_changes_nothing(people):
    """Every step of a batch may be repeated."""
    window = people.begin()
    parts = people.extract(window)
    for _ in range(2):
        for part in parts if people.pipeline.enrich else ():
            people.enrich(window, part.number)
        applied = [people.apply(window, sink) for sink in people.pipeline.sink_steps]
    assert all(a.replayed for a in applied)
    assert people.commit(window).read == 3
    assert people.live() == everywhere(people, people.source())


def test_an_invalid_row_waits_in_quarantine_until_it_is_valid(people):
    """A run sets it aside; the run that brings its valid version closes its entry."""
    valid = people.source()
    people.sql("INSERT INTO people (id, hired) VALUES (4, 'infinity')")
    summary = people.run()
    assert (summary.read, summary.quarantined) == (4, 1)
    assert people.live() == everywhere(people, valid)
    people.sql("UPDATE people SET hired = '2020-01-01' WHERE id = 4")
    people.run()
    (entry,) = people.quarantine()
    assert entry["closed_at"] is not None
    assert people.live() == everywhere(people, people.source())


def test_quarantined_rows_are_replayed(people):
    """`replay_quarantine` reads the entries' rows again, and closes those that the source has lost."""
    people.sql("INSERT INTO people (id, hired) VALUES (4, 'infinity')")
    people.run()
    people.sql("DELETE FROM people WHERE id = 4", "INSERT INTO people (id) VALUES (4)")
    people.run(mode=Mode.QUARANTINE)
    assert [entry["closed_at"] is not None for entry in people.quarantine()] == [True]
    assert people.live() == everywhere(people, people.source())


def test_a_full_refresh_replaces_all(people):
    """Rows that the source lost are gone from every sink."""
    people.run()
    people.sql("DELETE FROM people WHERE id = 1")
    assert people.run(mode=Mode.REFRESH).read == 2
    assert people.live() == everywhere(people, people.source())


def test_deletes_are_reconciled(people):
    """A reconcile compares the sinks there are."""
    people.run()
    people.sql("DELETE FROM people WHERE id = 1")
    report = people.reconcile()
    assert report.sinks == everywhere(people, Difference(live=2, missing=0, older=0, deleted=1))
    assert people.live() == everywhere(people, people.source())


def test_sinks_are_maintained(people):
    """Maintenance names each sink there is, and what comes later still arrives."""
    people.run()
    done = maintain(people.pipeline, people.connections, retention({}, datetime.now(UTC) + timedelta(days=365)))
    assert all(f"{sink}: " in done for sink in people.pipeline.sink_steps)
    people.sql("UPDATE people SET name = 'Anna' WHERE id = 1")
    people.run()
    assert people.live() == everywhere(people, people.source())


@pytest.mark.parametrize("people", ["silver and enrichment"], indirect=True)
def test_a_refresh_of_look_ups_needs_gold(people):
    """It reads the rows from Gold; the message says so."""
    people.run()
    with pytest.raises(SettingError, match="pipeline one has no gold"):
        people.run(mode=Mode.LOOKUPS)


@pytest.mark.parametrize("people", ["gold and enrichment", "no enrichment"], indirect=True)
def test_a_refresh_of_look_ups_without_anything_due_is_nothing(people):
    """Fresh results, or none at all, are not looked up again; the first refresh meets the geocoder's data."""
    people.run()
    people.run(mode=Mode.LOOKUPS)
    assert people.run(mode=Mode.LOOKUPS) is None


def test_a_sink_that_is_added_later_gets_all_rows(people):
    """A pipeline file may get a section at any time: the new sink starts from the beginning."""
    people.run()
    people.sql("UPDATE people SET name = 'Anna' WHERE id = 1")
    people.describe(SILVER | GOLD | GEOCODE)
    people.run()
    assert people.live() == everywhere(people, people.source())


def test_a_sink_that_the_pipeline_has_not_is_refused(people):
    """The message lists the sinks there are."""
    window = people.begin()
    people.extract(window)
    with pytest.raises(SettingError, match="has no elsewhere: its sinks are"):
        people.apply(window, "elsewhere")
