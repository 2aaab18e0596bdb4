"""A source that was re-created or restored is accepted: what differs is written, and runs continue from there."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from include.medallion.errors import SchemaChanged, SourceChanged
from include.medallion.model.differences import check_nothing_lost
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

DDL = "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)"


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of ten people who arrived."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.sql(DDL, "INSERT INTO people SELECT n, 'name ' || n, '98052' FROM generate_series(1, 10) AS n")
    people.run()
    return people


def check(people):
    """Assert that both sinks hold the source's live rows."""
    source = people.sql("SELECT id, name FROM people ORDER BY id::text")
    for rows in (people.gold(), people.silver()):
        assert [(row["id"], row["name"]) for row in rows if row["_deleted_at"] is None] == source
    assert people.silver() == people.gold()


def test_a_table_that_was_created_again_is_accepted(people):
    """Changed, lost and new rows, and rows that no window would bring: later changes arrive as ever."""
    people.sql(
        "ALTER TABLE people RENAME TO old",
        DDL,
        "INSERT INTO people SELECT id, CASE id WHEN 3 THEN 'changed' ELSE name END, postcode FROM old WHERE id <> 9",
        "INSERT INTO people VALUES (11, 'new', NULL)",
    )
    with pytest.raises(SourceChanged, match="accept_source"):
        people.run()
    report = reconcile(people.pipeline, people.connections, accept=True)
    assert report.faults == 0
    check(people)
    assert people.run() is None
    people.sql("UPDATE people SET name = 'later' WHERE id = 1", "INSERT INTO people VALUES (9, 'back', NULL)")
    people.run()
    check(people)


def test_versions_above_those_of_the_source_fence_nothing_off(people):
    """As after a restore into a younger server: the sinks' versions are higher than all that the source will give."""
    table = DeltaTable(people.connections.lake.table("one"), storage_options=dict(people.connections.lake.options))
    table.update({"_version": "900000000"})
    with people.account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE ONE SET _VERSION = 900000000")
    people.sql("DELETE FROM people WHERE id = 10", "CREATE TABLE fresh (LIKE people INCLUDING ALL)")
    people.sql("INSERT INTO fresh SELECT * FROM people", "DROP TABLE people", "ALTER TABLE fresh RENAME TO people")
    reconcile(people.pipeline, people.connections, accept=True)
    check(people)
    people.sql("UPDATE people SET name = 'later' WHERE id = 1", "INSERT INTO people VALUES (10, 'back', NULL)")
    people.run()
    check(people)


def test_another_table_with_other_columns_needs_a_full_refresh(people):
    """Its rows cannot be compared: the message says so, and a full refresh brings them."""
    people.sql("DROP TABLE people", DDL.replace("name", "born date DEFAULT '2020-02-29', name"))
    people.sql("INSERT INTO people (id, name) VALUES (1, 'name 1'), (2, 'other')")
    with pytest.raises(SchemaChanged, match="with full_refresh"):
        reconcile(people.pipeline, people.connections, accept=True, approve_deletes=True)
    people.run(mode=Mode.REFRESH)
    check(people)


def test_an_acceptance_that_is_killed_between_the_sinks_begins_again(people):
    """Silver is of the new source then and Gold of the old one: the next acceptance ends it."""
    people.sql(
        "ALTER TABLE people RENAME TO old", DDL, "INSERT INTO people SELECT id, 'new', NULL FROM old WHERE id < 9"
    )
    reconcile(people.pipeline.model_copy(update={"gold": None}), people.connections, accept=True)
    with pytest.raises(SourceChanged):
        people.run()
    check_nothing_lost(reconcile(people.pipeline, people.connections, accept=True))
    check(people)
    assert people.run() is None
