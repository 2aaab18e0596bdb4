"""What a reconcile finds it repairs: rows are read again by key and written to both sinks as a batch like any other."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable, write_deltalake

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.model.differences import Difference, check_nothing_lost
from include.medallion.ops.reconcile import reconcile
from include.medallion.steps.run_options import parse_run_options
from tests.integration.one_table import OneTable

ROWS = 10


class People(OneTable):
    """A table whose sinks are damaged behind our back."""

    def reconcile(self, **options):
        """Reconcile as the DAG does."""
        return reconcile(self.pipeline, self.connections, **options)

    def gold_table(self):
        """Open Gold."""
        lake = self.connections.lake
        return DeltaTable(lake.table("one"), storage_options=dict(lake.options))

    def silver_sql(self, *statements):
        """Change Silver by hand."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def check(self):
        """Assert that both sinks hold the source's values, each key once."""
        source = self.sql("SELECT id, name FROM people ORDER BY id::text")
        for rows in (self.gold(), self.silver()):
            assert [(row["id"], row["name"]) for row in rows] == source
        assert self.silver() == self.gold()


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a pipeline over a table that is not there yet."""
    return People(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})


@pytest.fixture
def people(table):
    """Lend a table of ten people who arrived."""
    table.sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)",
        f"INSERT INTO people SELECT n, 'name ' || n, NULL FROM generate_series(1, {ROWS}) AS n",
    )
    table.run()
    return table


def test_lost_outdated_and_repeated_rows_are_repaired(people):
    """Three existing rows appended to Gold by somebody, rows deleted and outdated by hand in both sinks."""
    table = people.gold_table()
    write_deltalake(table, table.to_pyarrow_table(filters=[("id", "<=", 3)]), mode="append")
    table.update_incremental()
    table.delete("id = 4")
    table.update({"_version": "3", "name": "'old'"}, predicate="id = 5")
    people.silver_sql(
        "INSERT INTO ONE SELECT * FROM ONE WHERE ID = 1",
        "DELETE FROM ONE WHERE ID IN (6, 7)",
        "UPDATE ONE SET _DELETED_AT = CURRENT_TIMESTAMP() WHERE ID = 8",
    )
    report = people.reconcile()
    assert report.sinks["gold"] == Difference(live=ROWS + 2, missing=1, older=1, repeated=3)
    assert (report.sinks["silver"].missing, report.sinks["silver"].repeated) == (3, 1)
    assert report.repaired == 8
    check_nothing_lost(report)
    people.check()
    assert people.reconcile().faults == 0
    assert people.run() is None


@pytest.mark.parametrize(("repair", "missing", "repeated"), [("off", 1, 1), ("missing", 0, 1)])
def test_the_setting_says_what_is_repaired(people, repair, missing, repeated):
    """What is left fails the task, with the counts and what fixes it."""
    table = people.gold_table()
    write_deltalake(table, table.to_pyarrow_table(filters=[("id", "=", 1)]), mode="append")
    table.update_incremental()
    table.delete("id = 4")
    report = people.reconcile(repair=repair)
    left = (report.left or report.sinks)["gold"]
    assert (left.missing, left.repeated) == (missing, repeated)
    with pytest.raises(ContractBroken, match=rf"gold lacks {missing} .*, 1 keys more than once: .* repair: all"):
        check_nothing_lost(report)


def test_a_source_row_that_is_gone_is_deleted_not_repaired(people):
    """Deletes and repairs in one reconcile."""
    people.gold_table().delete("id = 4")
    people.sql("DELETE FROM people WHERE id = 9")
    report = people.reconcile()
    assert (report.repaired, report.sinks["silver"].deleted, report.sinks["gold"].deleted) == (1, 1, 1)
    assert [row["id"] for row in people.gold() if row["_deleted_at"]] == [9]
    assert people.silver() == people.gold()


def test_an_attached_partition_arrives_and_the_cause_is_named(table, caplog):
    """Its rows were written before the sinks' position: no window brings them."""
    table.sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF people FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high (LIKE people INCLUDING ALL)",
        "INSERT INTO high SELECT n, 'name ' || n, NULL FROM generate_series(100, 120) AS n",
        "INSERT INTO people VALUES (1, 'one', NULL)",
    )
    table.run()
    table.sql("INSERT INTO people VALUES (2, 'two', NULL)")
    table.run()
    table.sql("ALTER TABLE people ATTACH PARTITION high FOR VALUES FROM (100) TO (200)")
    assert table.run() is None
    with pytest.raises(ContractBroken, match="all rows of partition high are missing, so it was attached with rows"):
        check_nothing_lost(table.reconcile(repair="off"))
    assert table.reconcile().repaired == 21
    assert "partition high" in caplog.text
    table.check()


def test_more_rows_than_may_be_read_again_are_left_to_a_full_refresh(people):
    """`max_reload_rows` limits a repair too."""
    people.pipeline = people.pipeline.model_copy(update={"max_reload_rows": 2})
    people.gold_table().delete("id <= 3")
    report = people.reconcile()
    assert (report.repaired, report.sinks["gold"].missing) == (0, 3)
    with pytest.raises(ContractBroken, match=r"gold lacks 3 .* full_refresh"):
        check_nothing_lost(report)


def test_off_is_a_word_in_a_pipeline_file():
    """YAML reads an unquoted `off` as false."""
    file = {"name": "one", "source": {"table": "t", "key": "id"}, "gold": {"table": "t"}, "repair": False}
    assert Pipeline.model_validate(file).repair == "off"


def test_a_reload_in_the_trigger_form():
    """Both fields of the form reach the options, and exclude each other."""
    assert parse_run_options({"reload_keys": "1..5"}).reload_keys == "1..5"
    assert parse_run_options({"reload_where": "id = 1", "reload_keys": ""}).reload_where == "id = 1"
