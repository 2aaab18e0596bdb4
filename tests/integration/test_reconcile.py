"""Deletes of a real source reach both sinks, and rows that a sink lost are found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import CommitProperties, DeltaTable, write_deltalake

from include.medallion.__main__ import app
from include.medallion.bronze import source_keys as bronze_source_keys
from include.medallion.errors import ContractBroken, SettingError, SourceChanged
from include.medallion.lake.object_store import delete_files, filesystem
from include.medallion.model.differences import Difference, Report, check_nothing_lost
from include.medallion.model.window import Mode
from include.medallion.ops import comparison, reconcile
from include.medallion.staging import archive, layout
from include.medallion.staging.layout import part_file
from include.medallion.staging.records import source_keys
from include.medallion.staging.records.documents import read_document
from include.medallion.staging.records.source_keys import begin_deletes
from include.medallion.steps.sinks import open_sinks
from tests.integration.one_table import OneTable

PEOPLE = """CREATE TABLE people (id int PRIMARY KEY, name text, hired date, postcode text)"""
INSERT = "INSERT INTO people SELECT n, 'name ' || n, '2020-02-29', '98052' FROM generate_series({}, {}) AS n"


class Table(OneTable):
    """A table with a few ways to disturb it."""

    def reconcile(self):
        """Reconcile as the DAG does, sound or not."""
        return reconcile.reconcile(self.pipeline, self.connections)

    def begin_reconcile(self):
        """Read the source's keys; the sinks are not touched."""
        return comparison.stage_keys(self.pipeline, self.connections, open_sinks(self.pipeline, self.connections))

    def compare(self, sink, keys):
        """Compare one sink with keys that were read, and apply the deletes; return the difference."""
        with self.sink(sink).compare(keys) as comparison:
            return comparison.difference.with_deletes(comparison.delete())

    def silver_sql(self, statement):
        """Change Silver by hand."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def gold_table(self):
        """Open Gold, to change it by hand."""
        lake = self.connections.lake
        return DeltaTable(lake.table("one"), storage_options=dict(lake.options))

    def delete_hard(self):
        """Remove deleted rows from now on."""
        self.pipeline = self.pipeline.model_copy(update={"deletes": "hard"})

    def deleted(self, sink):
        """Return the keys that a sink marks as deleted."""
        return [row["id"] for row in getattr(self, sink)() if row["_deleted_at"]]


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a way to make a table."""
    return lambda source: Table(bronze_dsn, lake_uri, lake, silver, source)


@pytest.fixture
def people(table):
    """Lend a table of four people who arrived in both sinks."""
    people = table({"table": "people", "key": "id"})
    people.set(repair="off")
    people.sql(PEOPLE, INSERT.format(1, 4))
    people.run()
    return people


def test_a_row_that_the_source_lost_is_marked_in_both_sinks(people):
    """A deleted row stays, with the moment of the reconcile, equal in both sinks; the others live."""
    people.sql("DELETE FROM people WHERE id IN (2, 3)")
    report = people.reconcile()
    assert people.deleted("silver") == [2, 3]
    assert people.silver() == people.gold()
    opened = datetime.strptime(f"{report.batch_id}000", "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
    assert {row["_deleted_at"] for row in people.gold()} == {None, opened}


def test_the_report_counts_rows_of_all_three(people):
    """Rows of the source, and of each sink what lives, what was deleted now and what is lost."""
    people.sql("DELETE FROM people WHERE id = 1")
    report = people.reconcile()
    expected = Difference(live=3, missing=0, older=0, deleted=1)
    assert (report.source, report.sinks) == (3, {"silver": expected, "gold": expected})
    check_nothing_lost(report)


def test_hard_deletes_remove_the_row(people):
    """With `deletes: hard` the row is gone from both sinks."""
    people.delete_hard()
    people.sql("DELETE FROM people WHERE id = 2")
    report = people.reconcile()
    assert (report.sinks["silver"].deleted, report.sinks["gold"].deleted) == (1, 1)
    assert [row["id"] for row in people.gold()] == [1, 3, 4]
    assert people.silver() == people.gold()


def test_hard_deletes_remove_rows_that_were_marked_before(people):
    """After a change from soft to hard, marked rows go too."""
    people.sql("DELETE FROM people WHERE id = 2")
    people.reconcile()
    people.delete_hard()
    report = people.reconcile()
    assert (report.sinks["gold"].live, report.sinks["gold"].deleted, report.sinks["silver"].deleted) == (3, 1, 1)
    assert [row["id"] for row in people.silver()] == [row["id"] for row in people.gold()] == [1, 3, 4]


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_a_key_that_comes_back_lives_again(people, deletes):
    """A deleted key that is inserted again is alive in both sinks after the next window."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    people.sql("DELETE FROM people WHERE id = 2")
    people.reconcile()
    people.sql(INSERT.format(2, 2))
    people.run()
    assert people.deleted("gold") == []
    assert people.silver() == people.gold()
    check_nothing_lost(people.reconcile())


def test_a_changed_key_is_a_delete_and_an_insert(people):
    """The row lives under its new key; the old key is marked."""
    people.sql("UPDATE people SET id = 9 WHERE id = 1")
    people.run()
    people.reconcile()
    assert people.deleted("silver") == people.deleted("gold") == [1]
    assert len(people.gold()) == 5


def test_a_source_that_was_emptied_is_believed(people):
    """Every row is marked, and none is missing."""
    people.sql("DELETE FROM people")
    report = people.reconcile()
    assert (report.source, report.sinks["silver"].live, report.sinks["gold"].live) == (0, 0, 0)
    assert people.deleted("silver") == people.deleted("gold") == [1, 2, 3, 4]


def test_doing_it_twice_changes_nothing(people):
    """The second time nothing is deleted, no value changes, and Delta gets no commit."""
    people.sql("DELETE FROM people WHERE id = 2")
    people.reconcile()
    rows, version = people.gold(), people.gold_table().version()
    report = people.reconcile()
    assert (report.sinks["silver"].deleted, report.sinks["gold"].deleted) == (0, 0)
    assert people.gold_table().version() == version
    assert people.silver() == people.gold() == rows


def test_without_deletes_gold_gets_no_commit(people):
    """Comparing alone leaves no trace in the Delta log."""
    version = people.gold_table().version()
    people.reconcile()
    assert people.gold_table().version() == version


def test_before_the_first_run_there_is_nothing_to_compare(table):
    """Sinks that hold nothing are no failure."""
    people = table({"table": "people", "key": "id"})
    people.sql(PEOPLE, INSERT.format(1, 4))
    assert people.reconcile() is None


def test_a_row_deleted_by_hand_in_silver_is_found(people):
    """The report counts it, and the message names the sink and the cure; deletes are applied all the same."""
    people.silver_sql("DELETE FROM ONE WHERE ID = 3")
    people.sql("DELETE FROM people WHERE id = 1")
    report = people.reconcile()
    assert (report.sinks["silver"].missing, report.sinks["gold"].missing) == (1, 0)
    assert (report.sinks["silver"].deleted, report.sinks["gold"].deleted) == (1, 1)
    with pytest.raises(ContractBroken, match=r"^silver lacks 1 .* medallion_one with full_refresh"):
        check_nothing_lost(report)


def test_a_row_deleted_by_hand_in_gold_is_found(people):
    """The report counts it, and the message names the sink."""
    people.gold_table().delete("id = 3")
    report = people.reconcile()
    assert (report.sinks["silver"].missing, report.sinks["gold"].missing, report.sinks["gold"].live) == (0, 1, 3)
    with pytest.raises(ContractBroken, match=r"^gold lacks 1 "):
        check_nothing_lost(report)


def test_an_older_row_is_found(people):
    """A row that a sink holds in an older version than is due counts as older, in either sink."""
    people.silver_sql("UPDATE ONE SET _VERSION = 3 WHERE ID = 2")
    people.gold_table().update({"_version": "3"}, predicate="id in (1, 2)")
    report = people.reconcile()
    assert (report.sinks["silver"].older, report.sinks["gold"].older) == (1, 2)
    assert (report.sinks["silver"].missing, report.sinks["gold"].missing) == (0, 0)


def test_a_row_marked_by_hand_is_missing(people):
    """A row that the source has, but that a sink calls deleted, is a lost row."""
    people.silver_sql("UPDATE ONE SET _DELETED_AT = CURRENT_TIMESTAMP() WHERE ID = 2")
    people.gold_table().update({"_deleted_at": "_loaded_at"}, predicate="id in (1, 2)")
    report = people.reconcile()
    assert (report.sinks["silver"].missing, report.sinks["gold"].missing) == (1, 2)


def test_full_refresh_repairs_what_was_found(people):
    """After the cure that the message names, the report is sound."""
    people.silver_sql("DELETE FROM ONE WHERE ID = 3")
    people.run(mode=Mode.REFRESH)
    check_nothing_lost(people.reconcile())


def test_rows_that_come_after_the_keys_were_read_are_not_marked(people):
    """Inserts, updates and the window that loads them, between reading the keys and comparing: all live."""
    keys = people.begin_reconcile()
    people.sql(INSERT.format(5, 6), "UPDATE people SET name = 'new' WHERE id = 1")
    people.run()
    silver = people.compare("silver", keys)
    gold = people.compare("gold", keys)
    assert silver == gold == Difference(live=6, missing=0, older=0, deleted=0)
    assert people.silver() == people.gold()


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_a_full_refresh_meanwhile_raises_no_alarm(people, deletes):
    """Rows that a refresh brought live; those deleted after the keys were read are no loss after a second look."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    keys = people.begin_reconcile()
    people.sql(INSERT.format(5, 5), "DELETE FROM people WHERE id = 1")
    people.run(mode=Mode.REFRESH)
    assert people.compare("silver", keys).deleted == 0
    assert people.compare("gold", keys).deleted == 0
    check_nothing_lost(people.reconcile())
    assert [row["id"] for row in people.gold()] == [2, 3, 4, 5]


def test_rows_that_only_one_sink_holds_wait(people):
    """What Silver holds and Gold does not yet is neither due nor deleted, until both hold it."""
    people.sql(INSERT.format(5, 6))
    window = people.begin()
    people.stage(window)
    people.apply(window, "silver")
    people.sql("DELETE FROM people WHERE id = 5")
    report = people.reconcile()
    assert (report.sinks["silver"].deleted, report.sinks["gold"].deleted, report.lost) == (0, 0, 0)
    people.apply(window, "gold")
    people.reconcile()
    assert people.deleted("silver") == [5]
    assert people.silver() == people.gold()


def test_a_reconcile_killed_between_the_sinks_is_finished_by_the_next(people):
    """Gold gets the moment that Silver has: the values are equal, and nothing is left to do."""
    people.sql("DELETE FROM people WHERE id = 2")
    keys = people.begin_reconcile()
    begin_deletes(people.connections.lake, keys)
    people.compare("silver", keys)
    people.reconcile()
    assert people.deleted("gold") == [2]
    assert people.silver() == people.gold()
    assert {row["_deleted_at"] for row in people.gold()} == {None, keys.window.opened_at}
    assert list(source_keys.unfinished_reconciles(people.connections.lake, "one")) == []


def test_a_reconcile_killed_after_the_keys_were_read_changes_nothing(people):
    """Old keys are no danger to newer rows, though the next reconcile finishes what was begun."""
    keys = people.begin_reconcile()
    begin_deletes(people.connections.lake, keys)
    people.sql(INSERT.format(5, 6), "UPDATE people SET id = 7 WHERE id = 1")
    people.run()
    check_nothing_lost(people.reconcile())
    assert people.deleted("silver") == people.deleted("gold") == [1]


def test_an_unfinished_reconcile_whose_keys_are_gone_is_dropped(people):
    """Staging may be cleaned: the next reconcile reads the keys again."""
    keys, lake = people.begin_reconcile(), people.connections.lake
    begin_deletes(lake, keys)
    delete_files(lake, [part_file(keys.window, layout.KEYS, 0)])
    check_nothing_lost(people.reconcile())
    assert list(source_keys.unfinished_reconciles(lake, "one")) == []


def test_windows_and_reconciles_at_the_same_time_end_right(people):
    """Gold is compared over and over while windows load: every row that is in the source lives, no other."""
    people.sql("DELETE FROM people WHERE id = 1")
    keys = people.begin_reconcile()

    def load():
        for n in range(5, 9):
            people.sql(INSERT.format(n, n))
            people.run()

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        while not loading.done():
            people.compare("gold", keys)
        loading.result()
    check_nothing_lost(people.reconcile())
    assert people.deleted("silver") == people.deleted("gold") == [1]
    assert [row["id"] for row in people.gold()] == list(range(1, 9))


def test_a_quarantined_row_is_not_called_missing(people):
    """A row that is set aside is due in no sink; its older version there is withdrawn, and not called lost."""
    people.sql("UPDATE people SET hired = 'infinity' WHERE id = 1", "INSERT INTO people VALUES (5, 'x', '-infinity')")
    people.run()
    report = people.reconcile()
    assert len(people.quarantine()) == 2
    assert (report.source, report.lost, report.sinks["silver"].live, report.sinks["gold"].deleted) == (5, 0, 3, 0)


def test_a_key_that_no_sink_can_hold_is_counted(table):
    """A row without a whole key cannot be compared; it is counted."""
    odd = table({"table": "odd", "key": ["a", "b"]})
    odd.sql("CREATE TABLE odd (a numeric(5, 2), b date, postcode text, UNIQUE (a, b))")
    odd.sql("INSERT INTO odd VALUES (1, '2020-01-01', NULL), ('NaN', '2020-01-01', NULL), (NULL, NULL, NULL)")
    odd.run()
    report = odd.reconcile()
    assert (report.source, report.unloadable, report.lost, report.sinks["gold"].live) == (3, 2, 0, 1)


KEYS = {
    "text": "text PRIMARY KEY",
    "uuid": "uuid PRIMARY KEY",
    "numeric": "numeric(20, 3) PRIMARY KEY",
    "timestamptz": "timestamptz PRIMARY KEY",
    "date": "date PRIMARY KEY",
}
VALUES = {
    "text": ("'Ünï \"q\"'", "'b''c'", "' '"),
    "uuid": ("gen_random_uuid()", "gen_random_uuid()", "gen_random_uuid()"),
    "numeric": ("1.5", "-2", "10000000000000000.001"),
    "timestamptz": ("'2021-01-01 10:00:00.123456+02'", "'0001-01-02'", "'9999-12-30'"),
    "date": ("'2021-01-01'", "'0001-01-02'", "'9999-12-30'"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_type_are_compared(table, kind):
    """Of three keys the first is deleted: one is marked in each sink, none is missing."""
    one = table({"table": "t", "key": "The Key"})
    one.sql(f'CREATE TABLE t ("The Key" {KEYS[kind]}, n serial, postcode text)')
    one.sql(*(f'INSERT INTO t ("The Key") VALUES ({value})' for value in VALUES[kind]))
    one.run()
    one.sql("DELETE FROM t WHERE n = 1")
    report = one.reconcile()
    assert (report.lost, report.sinks["silver"].deleted, report.sinks["gold"].deleted) == (0, 1, 1)
    assert [row["n"] for row in one.gold() if row["_deleted_at"]] == [1]
    assert one.silver() == one.gold()


def test_composite_keys_are_compared_whole(table):
    """Keys that share a column, or spell alike when joined, are distinguished."""
    pairs = table({"table": "pairs", "key": ["a", "b"]})
    pairs.sql("CREATE TABLE pairs (a text, b int, postcode text, PRIMARY KEY (a, b))")
    pairs.sql("INSERT INTO pairs VALUES ('x', 1), ('x', 2), ('x1', 1), ('y', 1)")
    pairs.run()
    pairs.sql("DELETE FROM pairs WHERE (a, b) IN (('x', 1), ('y', 1))")
    report = pairs.reconcile()
    assert (report.lost, report.sinks["silver"].live, report.sinks["gold"].live) == (0, 2, 2)
    assert [(row["a"], row["b"]) for row in pairs.gold() if row["_deleted_at"]] == [("x", 1), ("y", 1)]
    assert pairs.silver() == pairs.gold()


def test_a_large_table_is_compared_in_parts(table, monkeypatch):
    """Keys cut into many parts give the same answer."""
    monkeypatch.setattr(bronze_source_keys, "PART_ROWS", 100)
    many = table({"table": "many", "key": ["a", "b"]})
    many.sql("CREATE TABLE many (a int, b text, postcode text, PRIMARY KEY (a, b))")
    many.sql("INSERT INTO many SELECT n % 7, 'k' || n FROM generate_series(1, 1000) AS n")
    many.run()
    many.sql("DELETE FROM many WHERE b LIKE 'k1_'")
    many.gold_table().delete("b in ('k500', 'k501')")
    report = many.reconcile()
    assert (report.sinks["silver"].live, report.sinks["silver"].deleted, report.sinks["silver"].missing) == (990, 10, 0)
    assert (report.sinks["gold"].live, report.sinks["gold"].deleted, report.sinks["gold"].missing) == (988, 10, 2)


def test_tables_made_before_get_the_column(people):
    """Sinks without `_deleted_at` get it, and the delete is marked in both."""
    people.silver_sql("ALTER TABLE ONE DROP COLUMN _DELETED_AT")
    lake, rows = people.connections.lake, people.gold_table().to_pyarrow_table().drop_columns(["_deleted_at"])
    options = {"mode": "overwrite", "schema_mode": "overwrite", "storage_options": dict(lake.options)}
    write_deltalake(lake.table("one"), rows, **options, commit_properties=CommitProperties({"medallion.batch": "1"}))
    people.sql("DELETE FROM people WHERE id = 2")
    people.reconcile()
    assert people.deleted("silver") == people.deleted("gold") == [2]


@pytest.mark.parametrize("stale", ["UPDATE people SET name = 'x' WHERE id = 3", "SELECT 1"])
def test_a_window_gives_tables_made_before_the_column(people, stale):
    """A sink without `_deleted_at` takes the next batch and has the column then."""
    lake, rows = people.connections.lake, people.gold_table().to_pyarrow_table().drop_columns(["_deleted_at"])
    write_deltalake(
        lake.table("one"), rows, mode="overwrite", schema_mode="overwrite", storage_options=dict(lake.options)
    )
    people.silver_sql("ALTER TABLE ONE DROP COLUMN _DELETED_AT")
    people.sql(stale, INSERT.format(5, 5))
    people.run()
    assert people.deleted("gold") == people.deleted("silver") == []
    assert people.silver() == people.gold()


def test_another_source_is_refused(people):
    """A table that was made again is not compared with sinks that hold the old one."""
    people.sql("DROP TABLE people", PEOPLE)
    with pytest.raises(SourceChanged, match="full_refresh"):
        people.reconcile()
    assert people.deleted("gold") == []


def test_a_sink_that_was_filled_from_another_source_meanwhile_keeps_its_rows(people):
    """Old keys delete nothing from a table that a refresh from a new source replaced."""
    keys = people.begin_reconcile()
    people.sql("DROP TABLE people", PEOPLE, INSERT.format(7, 8))
    people.run(mode=Mode.REFRESH)
    with pytest.raises(SourceChanged, match=r"^silver"):
        people.compare("silver", keys)
    with pytest.raises(SourceChanged, match=r"^gold"):
        people.compare("gold", keys)
    check_nothing_lost(people.reconcile())
    assert people.deleted("silver") == people.deleted("gold") == []


def test_the_archive_lists_a_reconcile(people):
    """It is listed among the batches, keeps its report, and cannot be loaded as one."""
    report = people.reconcile()
    lake = people.connections.lake
    (listed,) = [batch for batch in archive.list_batches(lake, "one") if batch.batch_id == report.batch_id]
    assert (listed.window.mode, listed.state) == (Mode.RECONCILE, "reconcile")
    assert read_document(lake, f"_staging/one/{report.batch_id}/report.json", Report) == report
    with pytest.raises(SettingError, match="keys only"):
        archive.read_window(lake, "one", report.batch_id)


def test_a_table_that_another_pipeline_fills_too_is_refused(people, tmp_path, monkeypatch):
    """The other's rows would look deleted: nothing is changed, and the message has both names."""
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path))
    shared = people.pipeline.model_dump(by_alias=True, exclude={"name"}) | {"gold": {"table": "another"}}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(shared))
    people.sql("DELETE FROM people WHERE id = 1")
    with pytest.raises(SettingError, match=r"^one and two write to the same table"):
        people.reconcile()
    assert people.deleted("silver") == people.deleted("gold") == []


def test_the_command_fails_with_what_was_found(people, tmp_path, monkeypatch, capsys):
    """`python -m include.medallion reconcile` prints the report, says what is lost, and exits with 1."""
    people.silver_sql("DELETE FROM ONE WHERE ID = 3")
    lake = people.connections.lake
    settings = {
        "AWS_URI": lake.root,
        "AIRFLOW_CONN_BRONZE": people.dsn,
        "AIRFLOW_CONN_SILVER": people.account.airflow(),
    }
    for name, value in {**lake.options, **settings, "MEDALLION_PIPELINES": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(people.pipeline.model_dump(by_alias=True, exclude={"name"})))
    with pytest.raises(SystemExit, match="1"):
        app(["reconcile", "one"])
    said = capsys.readouterr()
    assert "source 4 rows" in said.out
    assert said.err.startswith("ContractBroken: silver lacks 1 ")


def test_nothing_remains_in_silver(people):
    """The table that the keys were copied to is dropped."""
    people.reconcile()
    with people.account.connect() as connection, connection.cursor() as cursor:
        names = {row[1] for row in cursor.execute("SHOW TERSE TABLES").fetchall()}
    assert names == {"ONE", "_MEDALLION_BATCHES"}


def test_the_delta_log_names_the_reconcile_and_holds_no_text(table):
    """The commit names its batch; keys that may be names are not in the log."""
    names = table({"table": "names", "key": "name"})
    names.sql("CREATE TABLE names (name text PRIMARY KEY, postcode text)", "INSERT INTO names VALUES ('Ann'), ('Bob')")
    names.run()
    names.sql("DELETE FROM names WHERE name = 'Ann'")
    report = names.reconcile()
    newest = names.gold_table().history(1)[0]
    assert newest["medallion.batch"] == str(report.batch_id)
    assert "Ann" not in str(newest)


@pytest.fixture
def batches(people):
    """Lend a table whose people came in three batches of four: a file each."""
    for first in (5, 9):
        people.sql(INSERT.format(first, first + 3))
        people.run()
    return people


def files(people):
    """Return the table's files: name, and the keys in their order."""
    lake, root = filesystem(people.connections.lake), people.connections.lake.path("one")
    names = people.gold_table().to_pyarrow_dataset().files
    return {n: pq.read_table(f"{root}/{n}", filesystem=lake)["id"].to_pylist() for n in names}


def test_marks_leave_rows_where_they_are(batches):
    """Only the file of the marked rows is written, in its order: later batches find few files, as before."""
    before = files(batches)
    batches.sql("DELETE FROM people WHERE id IN (6, 7)")
    batches.reconcile()
    after = files(batches)
    assert sorted(after.values()) == sorted(before.values())
    assert {name for name in after if name not in before} == {n for n, ids in after.items() if 6 in ids}
    assert batches.deleted("gold") == [6, 7]


def test_removed_rows_leave_the_others_where_they_are(batches):
    """The file of a removed row is written without it; one of which nothing is left goes."""
    before = files(batches)
    batches.delete_hard()
    batches.sql("DELETE FROM people WHERE id = 6 OR id > 8")
    assert batches.reconcile().sinks["gold"].deleted == 5
    after = files(batches)
    assert sorted(after.values()) == [[1, 2, 3, 4], [5, 7, 8]]
    assert len(after.keys() & before.keys()) == 1
    assert batches.silver() == batches.gold()


@pytest.mark.parametrize(("deletes", "left"), [("soft", [1, 2, 3, 4]), ("hard", [1, 3, 4])])
def test_a_table_that_asks_more_of_a_writer_is_merged_into(people, deletes, left):
    """delta-rs writes the change files of a delete."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    people.gold_table().alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
    people.sql("DELETE FROM people WHERE id = 2")
    assert people.reconcile().sinks["gold"].deleted == 1
    assert people.gold_table().history(1)[0]["operation"] == "MERGE"
    assert [row["id"] for row in people.gold()] == left
    assert people.silver() == people.gold()
