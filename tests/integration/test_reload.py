"""Chosen rows are read again and written to both sinks, whatever these hold of them."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from include.medallion.__main__ import app
from include.medallion.errors import SettingError
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable


class People(OneTable):
    """A table whose sinks are damaged behind our back."""

    def gold_table(self):
        """Open Gold."""
        lake = self.connections.lake
        return DeltaTable(lake.table("one"), storage_options=dict(lake.options))

    def silver_sql(self, *statements):
        """Change Silver by hand."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def damage(self):
        """Change values, lose rows, double rows and raise versions in both sinks; row 1 stays as it is."""
        table = self.gold_table()
        table.update({"name": "'wrong'"}, predicate="id = 2")
        table.update({"_version": "9000000000"}, predicate="id = 3")
        table.delete("id = 4")
        rows = table.to_pyarrow_table(filters=[("id", "in", [5, 6])])
        write_deltalake(table, rows, mode="append")
        self.silver_sql(
            "UPDATE ONE SET NAME = 'wrong' WHERE ID = 2",
            "UPDATE ONE SET _VERSION = 9000000000, NAME = 'wrong' WHERE ID = 3",
            "DELETE FROM ONE WHERE ID = 4",
            "INSERT INTO ONE SELECT * FROM ONE WHERE ID IN (5, 6)",
        )

    def check(self):
        """Assert that both sinks hold the source's values, each key once."""
        source = self.sql("SELECT id, name FROM people ORDER BY id::text")
        for rows in (self.gold(), self.silver()):
            assert [(row["id"], row["name"]) for row in rows] == source


@pytest.fixture(params=["plain", "merge"])
def people(request, bronze_dsn, lake_uri, lake, silver):
    """Lend a table of ten people who arrived; with a timestamp without zone, Gold is written by MERGE."""
    people = People(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.sql(
        f"CREATE TABLE people (id int PRIMARY KEY, name text, postcode text, at {COLUMN[request.param]})",
        "INSERT INTO people SELECT n, 'name ' || n, NULL, '2020-02-29 10:00' FROM generate_series(1, 10) AS n",
    )
    people.run()
    return people


COLUMN = {"plain": "timestamptz", "merge": "timestamp"}


def test_damaged_rows_are_as_in_the_source_again(people):
    """Wrong values, versions from the future, lost rows and doubled ones; each batch row is counted once."""
    people.damage()
    summary = people.run(mode=Mode.RELOAD, reload_keys="2..6")
    people.check()
    assert people.silver() == people.gold()
    counts = [(a.read, a.inserted, a.updated, a.superseded) for a in summary.sinks.values()]
    assert counts == [(5, 1, 4, 0)] * 2 or people.gold_table().protocol().min_writer_version > 2
    assert people.run() is None


def test_rows_that_were_not_chosen_stay(people):
    """A condition chooses; the watermark stays, and the batch of other rows too."""
    people.damage()
    people.run(mode=Mode.RELOAD, reload_where="name = 'name 2' OR id = 4")
    gold = {row["id"]: row for row in people.gold()}
    assert (gold[2]["name"], gold[4]["name"], gold[3]["_version"]) == ("name 2", "name 4", 9_000_000_000)
    assert gold[1]["_batch_id"] < gold[2]["_batch_id"] == gold[4]["_batch_id"]


def test_a_newer_batch_is_not_written_over(people):
    """What a run brought after the reload was opened stays."""
    window = people.begin(mode=Mode.RELOAD, reload_keys="1,2")
    people.stage(window)
    people.sql("UPDATE people SET name = 'newest' WHERE id = 1")
    people.run()
    for sink in ("silver", "gold"):
        assert people.apply(window, sink).superseded == 1
    people.commit(window)
    people.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reload_where": "id = 1; DROP TABLE people"}, "reload_where"),
        ({"reload_where": "nothing = 1"}, r"reload_where is refused by PostgreSQL \(SQLSTATE 42703\)"),
        ({"reload_keys": "x"}, r"reload_keys is refused by PostgreSQL \(SQLSTATE 22P02\)"),
        ({"reload_keys": " , "}, "reload_keys has no key"),
    ],
)
@pytest.mark.parametrize("people", ["plain"], indirect=True)
def test_a_wrong_choice_is_refused_by_name(people, options, message):
    """Before a batch is opened, and without the value."""
    with pytest.raises(SettingError, match=message):
        people.begin(mode=Mode.RELOAD, **options)


@pytest.mark.parametrize("people", ["plain"], indirect=True)
def test_the_shell_reloads(people, tmp_path, monkeypatch):
    """`reload --keys`, and neither or both options are refused."""
    for name, value in people.environ(tmp_path).items():
        monkeypatch.setenv(name, value)
    people.damage()
    done = CliRunner().invoke(app, ["reload", "one", "--keys", "2..6"])
    assert (done.exit_code, "5 rows read" in done.output) == (0, True), done.output
    people.check()
    assert CliRunner().invoke(app, ["reload", "one"]).exit_code == 1
