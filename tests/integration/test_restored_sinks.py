"""A sink that was put back into the past, alone and without its position, is noticed by the next run and caught up."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import pytest
from deltalake import DeltaTable, write_deltalake

from include.medallion.errors import SinkBehind
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from include.medallion.silver import apply as silver_apply
from include.medallion.silver.write import write_of
from tests.integration.one_table import OneTable


class People(OneTable):
    """A table whose sinks are restored behind our back."""

    def gold_table(self, version=None):
        """Open Gold."""
        lake = self.connections.lake
        return DeltaTable(lake.table("one"), version=version, storage_options=dict(lake.options))

    def silver_sql(self, *statements):
        """Change Silver by hand."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def check(self):
        """Assert that both sinks hold the source's values."""
        source = self.sql("SELECT id, name FROM people ORDER BY id::text")
        assert [(row["id"], row["name"]) for row in self.gold()] == source
        assert [(row["id"], row["name"]) for row in self.silver()] == source


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of 20 people who arrived, and of whom all changed since, one was added and one was not."""
    people = People(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)",
        "INSERT INTO people SELECT n, 'old ' || n, NULL FROM generate_series(1, 20) AS n",
    )
    people.run()
    people.silver_sql("CREATE TABLE KEPT AS SELECT * FROM ONE")
    people.version = people.gold_table().version()
    people.sql("UPDATE people SET name = 'new ' || id WHERE id < 20", "INSERT INTO people VALUES (21, 'new', NULL)")
    people.run()
    return people


def test_gold_restored_is_caught_up_though_nothing_is_new(people):
    """RESTORE keeps the transaction lines; the run reads again what the restored version did not have."""
    people.gold_table().restore(people.version)
    assert people.gold()[0]["name"] == "old 1"
    summary = people.run()
    assert (summary.read, summary.sinks["silver"].inserted, summary.sinks["gold"].inserted) == (20, 0, 1)
    people.check()
    assert people.run() is None


def test_a_batch_staged_before_the_restore_hides_nothing(people):
    """A window that was open when Gold was restored is refused; the next run starts from what Gold holds."""
    people.sql("UPDATE people SET name = 'newest' WHERE id = 3")
    window = people.begin()
    people.stage(window)
    people.gold_table().restore(people.version)
    people.apply(window, "silver")
    with pytest.raises(SinkBehind, match=r"gold holds transactions below \d+ only"):
        people.apply(window, "gold")
    people.run()
    people.check()


def test_a_restore_that_was_undone_costs_nothing(people):
    """A second RESTORE, to the version of the newest batch, leaves nothing to read."""
    newest = people.gold_table().version()
    people.gold_table().restore(people.version)
    people.gold_table().restore(newest)
    assert people.run() is None
    people.check()


def test_gold_restored_to_its_beginning_is_filled_again(people):
    """The first version holds no batch."""
    people.gold_table().restore(0)
    assert people.run().sinks["gold"].inserted == 21
    people.check()


def test_gold_overwritten_with_an_old_copy_is_caught_up(people):
    """What somebody writes over the whole table holds nothing that can be relied on: every row is read again."""
    lake = people.connections.lake
    old = people.gold_table(people.version).to_pyarrow_table()
    write_deltalake(lake.table("one"), old, mode="overwrite", storage_options=dict(lake.options))
    assert people.run().read == 21
    people.check()
    assert people.run() is None


@pytest.mark.parametrize(
    "restore",
    [
        ("DELETE FROM ONE", "INSERT INTO ONE SELECT * FROM KEPT"),
        ("CREATE OR REPLACE TABLE ONE AS SELECT * FROM KEPT",),
    ],
    ids=["rows", "table"],
)
def test_silver_restored_alone_is_caught_up(people, restore):
    """The ledger still says the newest batch; the table's rows are older than it says."""
    people.silver_sql(*restore)
    summary = people.run()
    assert (summary.read, summary.sinks["silver"].inserted, summary.sinks["gold"].inserted) == (20, 1, 0)
    people.check()
    assert people.run() is None


def test_silver_emptied_by_another_program_is_filled_again(people):
    """TRUNCATE leaves the ledger too."""
    people.silver_sql("DELETE FROM ONE")
    assert people.run().sinks["silver"].inserted == 21
    people.check()


def test_hard_deletes_are_no_restore(people):
    """Rows of the newest batch that a reconcile removed are not taken for a restored table."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": "hard"})
    people.sql("DELETE FROM people WHERE id <> 20")
    reconcile(people.pipeline, people.connections, approve_deletes=True)
    assert people.run() is None
    people.check()


def silver_restored(people):
    """Put Silver's rows back to those of the first batch."""
    people.silver_sql("DELETE FROM ONE", "INSERT INTO ONE SELECT * FROM KEPT")


BETWEEN = {
    "a reconcile": lambda people: reconcile(people.pipeline, people.connections, repair="off"),
    "a reload": lambda people: people.run(mode=Mode.RELOAD, reload_keys="1..2"),
    "a trial": lambda people: people.run(mode=Mode.TRIAL, max_rows=1),
}


@pytest.mark.parametrize(
    ("sink", "between"), [*product(["silver"], BETWEEN), ("gold", "a reconcile"), ("gold", "a reload")]
)
def test_what_writes_between_a_restore_and_the_next_run_does_not_hide_it(people, sink, between):
    """A row of another batch is newer than all that are gone, and a delete changes which row is the newest."""
    people.set(deletes="hard")
    people.sql("DELETE FROM people WHERE id = 5", "UPDATE people SET name = 'newest' WHERE id = 3")
    if sink == "silver":
        silver_restored(people)
    else:
        people.gold_table().restore(people.version)
    BETWEEN[between](people)
    people.run()
    reconcile(people.pipeline, people.connections, repair="off")
    people.check()


def test_silver_restored_while_a_batch_is_staged_is_noticed(people):
    """Between the check of the position and the transaction lies the upload of the batch."""
    people.sql("UPDATE people SET name = 'newest' WHERE id = 3")
    window = people.begin()
    people.stage(window)
    restored = patch.object(silver_apply, "write_of", lambda mode: silver_restored(people) or write_of(mode))
    with restored, pytest.raises(SinkBehind, match="silver holds transactions below"):
        people.apply(window, "silver")
    people.run()
    people.check()


def test_silver_restored_to_before_its_ledger_is_filled_again(people):
    """No batch of the ledger is as old as the rows: nothing of the table can be relied on."""
    people.silver_sql("UPDATE ONE SET _BATCH_ID = 1")
    people.run(mode=Mode.RELOAD, reload_keys="1..2")
    assert people.run().read == 21
    people.check()


def test_a_quarantined_row_stays_deleted_in_a_restored_sink(bronze_dsn, lake_uri, lake, silver):
    """Its last valid version was in the sink alone: another sink still has it, both mark the row as deleted."""
    days = People(bronze_dsn, lake_uri, lake, silver, {"table": "days", "key": "id"}, quarantine={"max_share": 1.0})
    days.sql("CREATE TABLE days (id int PRIMARY KEY, day date, postcode text)", "INSERT INTO days VALUES (1), (2)")
    versions = []
    for day in ("2020-01-01", "2020-01-02", "infinity"):
        days.sql(f"UPDATE days SET day = '{day}' WHERE id = 1")
        days.run()
        versions.append(days.gold_table().version())
    days.gold_table().restore(versions[0])
    days.run()
    held = [[(str(row["day"]), row["_deleted_at"] is None) for row in rows] for rows in (days.silver(), days.gold())]
    assert held == [[("2020-01-02", False), ("None", True)], [("2020-01-01", False), ("None", True)]]
