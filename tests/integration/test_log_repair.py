"""Reloads, repairs and new sources of a pipeline that reads the log: the slot stays, and changes in it arrive."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from include.medallion.errors import SourceChanged, TooManyDeletes
from include.medallion.model.window import Mode
from include.medallion.ops.log import finish_log
from include.medallion.ops.reconcile import reconcile
from tests.integration.test_log import ROWS, SOURCE, Logged

DDL = "CREATE TABLE people (id int PRIMARY KEY, name text)"
PUBLISH = "CREATE PUBLICATION medallion_people FOR TABLE people"


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of nine people who arrived, whose log is read from then on."""
    people = Logged(bronze_dsn, lake_uri, lake, silver, SOURCE)
    people.set(enrich=[], min_deletes=2)
    people.sql(DDL, PUBLISH, ROWS)
    people.run_to_end()
    yield people
    if people.slot_is_at():
        people.drop_slot()


def damage(people):
    """Change rows of both sinks behind our back, and delete one."""
    lake = people.connections.lake
    table = DeltaTable(lake.table("one"), storage_options=dict(lake.options))
    table.update({"name": "'wrong'"}, predicate="id = 2")
    table.delete("id = 4")
    with people.account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE ONE SET NAME = 'wrong' WHERE ID = 3")


@pytest.mark.parametrize("how", ["reload", "reconcile"])
def test_rows_are_read_again_while_changes_wait_in_the_log(people, how):
    """Damaged rows are as in the source; the changes, of the same rows too, arrive with the next run of the log."""
    damage(people)
    changes = "UPDATE people SET name = 'later' WHERE id IN (3, 6)", "DELETE FROM people WHERE id IN (2, 7)"
    at = people.slot_is_at()
    people.sql(changes[0])
    if how == "reload":
        assert people.run(mode=Mode.RELOAD, reload_keys="2..4").read == 3
    else:
        assert reconcile(people.pipeline, people.connections, values=True).repaired
    assert people.slot_is_at() == at
    summary = people.read_log(changes[1])
    assert (summary.gone, summary.read) == (2, 2)
    people.check()


def test_a_table_that_was_created_again_is_accepted(people):
    """Runs go on by transaction id, and read the log again from the next one on."""
    people.sql("DROP TABLE people", DDL, PUBLISH.replace("CREATE", "ALTER").replace("FOR", "ADD"), ROWS)
    people.sql("UPDATE people SET name = 'changed' WHERE id = 3", "DELETE FROM people WHERE id = 9")
    with pytest.raises(SourceChanged, match="accept_source"):
        people.run_to_end()
    assert reconcile(people.pipeline, people.connections, accept=True).faults == 0
    people.check()
    people.run_to_end()
    people.read_log("UPDATE people SET name = 'later' WHERE id = 1", "DELETE FROM people WHERE id = 8")
    people.check()


def test_an_approved_truncate_lets_the_slot_go_on(people):
    """As many deletes as were approved; fewer are not enough."""
    people.read_log("DELETE FROM people WHERE id = 9")
    at = people.slot_is_at()
    people.sql("TRUNCATE people", "INSERT INTO people VALUES (1, 'one'), (2, 'two')")
    with pytest.raises(TooManyDeletes) as asked:
        people.run_to_end()
    assert asked.value.approval == {"approve_deletes": 6}
    summary = people.read_log()
    with pytest.raises(TooManyDeletes):
        finish_log(people.pipeline, people.connections, summary, 5)
    finish_log(people.pipeline, people.connections, summary, 6)
    assert people.slot_is_at() > at
    people.check()
