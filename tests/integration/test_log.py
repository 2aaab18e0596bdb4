"""A pipeline that reads the log: deletes and new keys arrive in the same run, and a lost slot loses no row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Timer

import psycopg
import pytest

from include.medallion.errors import ContractBroken, SettingError, SourceChanged, TooManyDeletes
from include.medallion.gold.write import rewrite
from include.medallion.model.log_range import slot_name
from include.medallion.model.window import Mode
from include.medallion.ops.log import finish_log
from include.medallion.steps.log.advance import advance
from include.medallion.steps.log.slots import drop_unneeded_slots
from include.medallion.steps.run import run_window
from tests.integration.one_table import OneTable

SOURCE = {"table": "people", "key": "id", "read": "log"}


class NoSilver:
    """An account that nobody asks."""

    connect = None


class Logged(OneTable):
    """A table whose log is read, and its slot."""

    @property
    def slot(self):
        """Name of the slot."""
        return slot_name("one", self.connections.lake.root)

    def slot_is_at(self):
        """Return the slot's position; None if there is none."""
        found = self.sql(f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{self.slot}'")
        return found[0][0] if found else None

    def drop_slot(self):
        """Lose the slot."""
        self.sql(f"SELECT pg_drop_replication_slot('{self.slot}')")

    def run_to_end(self):
        """Run as the DAG does; return the summary."""
        window = self.begin()
        summary = run_window(self.pipeline, self.connections, window)
        finish_log(self.pipeline, self.connections, summary)
        return summary

    def read_log(self, *statements):
        """Run statements, then a run that must read the log; return its summary."""
        self.sql("SELECT", *statements)
        window = self.begin()
        assert window.log, window.notes
        return run_window(self.pipeline, self.connections, window)

    def check(self):
        """Compare all living rows of both sinks with the source, by value and version."""
        source = self.sql('SELECT *, xmin::text::bigint AS _version FROM people ORDER BY id::text COLLATE "C"')
        names = [*self.names, "_version"]
        for sink in (self.gold(), self.silver()) if self.pipeline.silver else (self.gold(),):
            live = [tuple(row[name] for name in names) for row in sink if row["_deleted_at"] is None]
            assert live == source

    @property
    def names(self):
        """Columns of the source."""
        found = self.sql(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum"
        )
        return [name for (name,) in found]


@pytest.fixture
def made():
    """Lend a list of tables whose slots are dropped in the end."""
    people: list[Logged] = []
    yield people
    for one in people:
        if one.slot_is_at():
            one.drop_slot()


ROWS = "INSERT INTO people (id, name) SELECT n, 'name ' || n FROM generate_series(1, 9) AS n"


@pytest.fixture
def gold_only(bronze_dsn, lake_uri, lake, made):
    """Lend a function that makes a table with rows 1 to 9, loads them into Gold, and continues with the log."""

    def make(ddl="id int PRIMARY KEY, name text", rows=ROWS, silver=None, source=None, **settings):
        people = Logged(bronze_dsn, lake_uri, lake, silver or NoSilver, {**SOURCE, **(source or {})})
        people.set(enrich=[], **({} if silver else {"silver": None}), **settings)
        made.append(people)
        people.sql(f"CREATE TABLE people ({ddl})", "CREATE PUBLICATION medallion_people FOR TABLE people", rows)
        assert people.run().read == 9
        return people

    return make


@pytest.fixture
def logged(gold_only, silver):
    """Lend such a function for both sinks."""
    return partial(gold_only, silver=silver)


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_one_run_brings_inserts_updates_deletes_and_new_keys(logged, deletes):
    """A deleted row and the old key of an updated one leave both sinks in the run that brings the others."""
    people = logged(deletes=deletes)
    summary = people.read_log(
        "INSERT INTO people VALUES (10, 'new')",
        "UPDATE people SET name = 'other' WHERE id = 2",
        "DELETE FROM people WHERE id = 3",
        "UPDATE people SET id = 40 WHERE id = 4",
    )
    assert (summary.read, summary.gone) == (3, 2)
    assert {(a.inserted, a.updated, a.deleted, a.superseded) for a in summary.sinks.values()} == {(2, 1, 2, 0)}
    people.check()
    for sink in (people.gold(), people.silver()):
        marked = {row["id"]: row["name"] for row in sink if row["_deleted_at"]}
        assert marked == ({3: "name 3", 4: "name 4"} if deletes == "soft" else {})
    assert people.run() is None


@pytest.mark.parametrize("gone", ["id = 10", "true"], ids=["the newest row", "all rows"])
def test_a_run_that_only_deletes_rows_leaves_both_sinks_as_the_table(logged, gone):
    """A sink that lost its newest rows to deletes of the batch itself is not taken for one that was restored."""
    people = logged(deletes="hard", max_delete_share=1)
    people.read_log("INSERT INTO people VALUES (10, 'newest')")
    assert people.read_log(f"DELETE FROM people WHERE {gone}").gone == (1 if gone == "id = 10" else 10)
    people.check()
    assert people.run() is None


def test_a_retry_reads_the_same_changes_and_the_slot_waits_for_the_commit(logged):
    """The slot stays where it is until the commit, and a run that was killed before it loses nothing."""
    people = logged()
    people.read_log("DELETE FROM people WHERE id = 1")
    at = people.slot_is_at()
    people.sql("DELETE FROM people WHERE id = 2", "INSERT INTO people VALUES (11, 'new')")
    window = people.begin()
    people.extract(window)
    people.apply(window, "silver")
    assert people.slot_is_at() == at
    summary = people.read_log("DELETE FROM people WHERE id = 3")
    assert summary.gone == 2
    assert people.slot_is_at() > at
    people.check()
    assert people.extract(window) == ()
    people.check()


def test_a_long_transaction_holds_no_rows_back(gold_only):
    """Rows committed beside it arrive at once; its own rows once it has ended."""
    people = gold_only()
    with psycopg.connect(people.dsn) as long:
        long.execute("INSERT INTO people VALUES (20, 'long')")
        assert people.read_log("UPDATE people SET name = 'beside' WHERE id = 1").read == 1
        assert people.gold()[0]["name"] == "beside"
        assert people.run() is None
        long.execute("UPDATE people SET name = 'long' WHERE id = 1")
    assert people.read_log().read == 2
    people.check()


def test_rows_beside_a_long_transaction_get_their_final_version(gold_only):
    """They are read again once, when their transaction's id is below the horizon, although nothing has changed."""
    people = gold_only()
    with psycopg.connect(people.dsn) as long:
        long.execute("SELECT pg_current_xact_id()")
        people.read_log("UPDATE people SET name = 'beside' WHERE id = 1")
        people.read_log("UPDATE people SET name = 'beside' WHERE id = 2")
    assert people.read_log().read == 2
    people.check()
    assert people.run() is None


def test_a_commit_that_is_not_visible_yet_is_not_lost(gold_only):
    """
    It is in the log, but its rows are not in a snapshot until the synchronous standby confirms it.

    Its run reads by transaction id, where it waits; deletes of the same time are found by the run after it.
    """
    people = gold_only()
    people.read_log("UPDATE people SET name = 'a' WHERE id = 1")
    with psycopg.connect(people.dsn, autocommit=True) as admin, ThreadPoolExecutor() as pool:
        for statement in ("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"):
            admin.execute(statement)
        try:
            wait_until(admin, "SELECT current_setting('synchronous_standby_names') = 'nobody'")
            written = pool.submit(people.sql, "INSERT INTO people VALUES (77, 'late')")
            wait_until(admin, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            admin.execute("SET synchronous_commit = local")
            admin.execute("DELETE FROM people WHERE id = 2")
            window = people.begin()
            assert window.log
            run_window(people.pipeline, people.connections, window)
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
        written.result()
    people.read_log()
    people.check()


def wait_until(connection, query):
    """Wait until a query returns true."""
    for _ in range(1000):
        if connection.execute(query).fetchone()[0]:
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(query)


def test_a_slot_that_another_session_reads_is_waited_for(gold_only):
    """A watcher uses it for a moment: the commit of a run goes on when it is free."""
    people = gold_only()
    at = people.slot_is_at()
    people.sql("DELETE FROM people WHERE id = 1")
    window = people.begin()
    run_window(people.pipeline, people.connections, replace(window, log=None))
    with psycopg.connect(f"{people.dsn}?replication=database", autocommit=True) as reader:
        options = "(proto_version '1', publication_names 'medallion_people')"
        reader.pgconn.exec_(f'START_REPLICATION SLOT "{people.slot}" LOGICAL 0/0 {options}'.encode())
        assert people.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{people.slot}'") == [(True,)]
        Timer(0.3, reader.pgconn.finish).start()
        advance(people.pipeline, people.connections, window, window.log, window.batch_id, "")
    assert people.slot_is_at() > at


CASES = {
    "insert, update and delete of one key": (
        "INSERT INTO people VALUES (30, 'a')",
        "UPDATE people SET name = 'b' WHERE id = 30",
        "DELETE FROM people WHERE id = 30",
    ),
    "delete and insert again": ("DELETE FROM people WHERE id = 1", "INSERT INTO people VALUES (1, 'again')"),
    "swapped keys": (
        (
            "BEGIN; UPDATE people SET id = -1 WHERE id = 1; UPDATE people SET id = 1 WHERE id = 2; UPDATE people SET "
            "id = 2 WHERE id = -1; COMMIT"
        ),
    ),
    "savepoints": (
        (
            "BEGIN; SAVEPOINT a; DELETE FROM people WHERE id = 1; ROLLBACK TO a; SAVEPOINT b; "
            "UPDATE people SET name = 'kept' WHERE id = 2; RELEASE b; COMMIT"
        ),
    ),
    "a column added in the middle": (
        "UPDATE people SET name = 'before' WHERE id = 1",
        "ALTER TABLE people ADD COLUMN more int",
        "UPDATE people SET more = 7 WHERE id = 2",
    ),
    "a column dropped in the middle": (
        "ALTER TABLE people ADD COLUMN brief int",
        "UPDATE people SET brief = 7 WHERE id = 2",
        "ALTER TABLE people DROP COLUMN brief",
    ),
    "a renamed table and back": (
        "UPDATE people SET name = 'a' WHERE id = 1",
        "ALTER TABLE people RENAME TO others",
        "UPDATE others SET name = 'b' WHERE id = 2",
        "ALTER TABLE others RENAME TO people",
    ),
    "another table in the publication": (
        "CREATE TABLE others (id int PRIMARY KEY)",
        "ALTER PUBLICATION medallion_people ADD TABLE others",
        "INSERT INTO others VALUES (1)",
        "TRUNCATE others",
        "DELETE FROM people WHERE id = 5",
    ),
    "only rows of other tables": ("CREATE TABLE unpublished (id int)", "INSERT INTO unpublished VALUES (1)"),
    "a rolled back transaction": ("BEGIN; DELETE FROM people; ROLLBACK",),
}


def test_known_hard_cases(gold_only):
    """Histories that change data capture is known to get wrong, one after the other on one table."""
    people = gold_only()
    for name, statements in CASES.items():
        people.sql(*statements)
        window = people.begin()
        assert window.log, name
        run_window(people.pipeline, people.connections, window)
        people.check()


def test_unchanged_long_values_and_many_columns(gold_only):
    """A value of a megabyte that an update leaves alone is not in the log, but in the table."""
    many = ", ".join(f"c{n} int" for n in range(200))
    people = gold_only(f"id text PRIMARY KEY, name text, long text, {many}")
    people.read_log(
        "UPDATE people SET long = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32000) AS n)"
    )
    people.read_log("UPDATE people SET name = 'other', c199 = 7")
    people.check()


def test_keys_of_any_type(gold_only):
    """Old and new keys are found and deleted as the table spells them, whatever their type."""
    columns = {
        "id": ("text", "n::text"),
        "b": ("numeric", "n::numeric"),
        "c": ("timestamptz", "now()"),
        "d": ("uuid", "gen_random_uuid()"),
        "e": ("char(5)", "n::text"),
        "f": ("bytea", "n::text::bytea"),
        "g": ("float8", "0.1 * n"),
        "h": ("date", "'2020-02-29'"),
        "i": ("varchar(20)", "'l'"),
        "j": ("numeric(10,2)", "1.50"),
        "k": ("boolean", "true"),
        "l": ("interval", "interval '1 month 3 days'"),
    }
    ddl = ", ".join(f"{name} {type_}" for name, (type_, _) in columns.items())
    values = ", ".join(value for _, value in columns.values())
    rows = f"INSERT INTO people SELECT {values}, 'name' FROM generate_series(1, 9) AS n"
    people = gold_only(f"{ddl}, name text, PRIMARY KEY ({', '.join(columns)})", rows, source={"key": [*columns]})
    summary = people.read_log(
        "DELETE FROM people WHERE id = '1'",
        """UPDATE people SET id = E'a\\'b"c\\\\d {,}', b = 0.50, f = '\\xff', l = '2 hours' WHERE id = '2'""",
    )
    assert (summary.read, summary.gone, summary.sinks["gold"].deleted) == (1, 2, 2)
    assert sorted(row["id"] for row in people.gold() if row["_deleted_at"] is None) == [*"3456789", "a'b\"c\\d {,}"]


def test_a_partitioned_table_is_read_by_its_root(gold_only):
    """A row that moves between partitions is an update, and one that is deleted goes."""
    people = gold_only("id int PRIMARY KEY, name text")
    people.sql(
        "DROP PUBLICATION medallion_people",
        "DROP TABLE people",
        "CREATE TABLE people (id int, name text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (10) TO (100)",
        ROWS,
        "CREATE PUBLICATION medallion_people FOR TABLE people",
    )
    with pytest.raises(SettingError, match="publish_via_partition_root"):
        people.begin()
    people.sql("ALTER PUBLICATION medallion_people SET (publish_via_partition_root = true)")
    assert people.run(mode=Mode.REFRESH).read == 9
    people.run()  # by transaction id: the slot is of the table that was dropped
    summary = people.read_log("UPDATE people SET id = 50 WHERE id = 5", "DELETE FROM people WHERE id = 6")
    assert (summary.read, summary.gone) == (1, 2)
    people.check()


def test_a_filtered_row_leaves_when_it_no_longer_meets_the_filter(gold_only):
    """The filter is applied to the table, as in a scan; a row that falls out of it is deleted at once."""
    people = gold_only(source={"where": "name <> 'out'"})
    summary = people.read_log("UPDATE people SET name = 'out' WHERE id = 1")
    assert (summary.read, summary.gone, summary.sinks["gold"].deleted) == (0, 1, 1)


def test_truncate_asks_first(gold_only):
    """More rows than max_delete_share: the run fails and the slot stays, until the rows are back or approved."""
    people = gold_only(min_deletes=3)
    people.read_log("DELETE FROM people WHERE id = 9")
    at = people.slot_is_at()
    people.sql("TRUNCATE people", "INSERT INTO people VALUES (1, 'one'), (2, 'two')")
    with pytest.raises(TooManyDeletes, match="max_delete_share"):
        people.run_to_end()
    assert people.slot_is_at() == at
    people.sql("INSERT INTO people SELECT n, 'back' FROM generate_series(3, 6) AS n")
    people.run_to_end()
    assert people.slot_is_at() > at
    people.check()


@pytest.mark.parametrize("lose", ["dropped", "consumed"])
def test_a_lost_slot_loses_no_row(gold_only, lose):
    """The next run reads by transaction id and says so; the one after that reads the log again."""
    people = gold_only()
    people.read_log("UPDATE people SET name = 'a' WHERE id = 1")
    people.sql("UPDATE people SET name = 'b' WHERE id = 2")
    if lose == "dropped":
        people.drop_slot()
    else:
        people.sql(f"SELECT pg_replication_slot_advance('{people.slot}', pg_current_wal_lsn())")
    summary = people.run()
    assert "reconcile" in summary.notes[0]
    people.check()
    assert people.read_log("DELETE FROM people WHERE id = 3").gone == 1
    people.check()


def test_a_slot_lost_after_the_window_was_opened_loses_no_row(gold_only):
    """`extract` reads the window by transaction id instead."""
    people = gold_only()
    people.sql("UPDATE people SET name = 'b' WHERE id = 2")
    window = people.begin()
    people.drop_slot()
    assert run_window(people.pipeline, people.connections, window).read == 1
    people.check()
    people.run()
    people.read_log("DELETE FROM people WHERE id = 3")
    people.check()


def test_a_log_that_cannot_be_decoded_loses_no_row(gold_only):
    """The key had another name when rows were written: `extract` reads by transaction id, in the same connection."""
    people = gold_only()
    people.read_log("UPDATE people SET name = 'a' WHERE id = 1")
    people.sql(
        "ALTER TABLE people RENAME id TO key",
        "UPDATE people SET name = 'b' WHERE key IN (2, 3)",
        "ALTER TABLE people RENAME key TO id",
        "UPDATE people SET name = 'c' WHERE id = 4",
    )
    assert people.read_log().read == 3
    people.check()


def test_a_table_that_was_created_again_under_the_slot_is_another_one(gold_only):
    """The run stops, as with transaction ids; after a full refresh its log is read with the same slot."""
    people = gold_only()
    people.read_log("UPDATE people SET name = 'a' WHERE id = 1")
    people.sql("DROP TABLE people", "CREATE TABLE people (id int PRIMARY KEY, name text)", ROWS)
    people.sql("ALTER PUBLICATION medallion_people ADD TABLE people")
    with pytest.raises(SourceChanged):
        people.begin()
    assert people.run(mode=Mode.REFRESH).read == 9
    people.run()
    assert people.read_log("DELETE FROM people WHERE id = 2", "UPDATE people SET name = 'b' WHERE id = 3").gone == 1
    people.check()


def test_a_slot_that_keeps_too_much_is_given_up(gold_only):
    """Above max_slot_lag_mb the slot is dropped, so that it does not fill the source's disk; no row is lost."""
    people = gold_only(source={"max_slot_lag_mb": 1})
    first = people.slot_is_at()
    people.sql(
        "UPDATE people SET name = 'a' WHERE id = 1",
        "SELECT pg_logical_emit_message(false, 'x', repeat('x', 2000000))",
        "SELECT pg_switch_wal()",
    )
    summary = people.run()
    assert "max_slot_lag_mb" in summary.notes[0]
    assert people.slot_is_at() != first
    people.check()


def test_the_way_of_reading_can_change_at_any_time(gold_only):
    """From the log to transaction ids and back, without a reload."""
    people = gold_only()
    people.read_log("UPDATE people SET name = 'a' WHERE id = 1")
    people.set(source={**SOURCE, "read": "xmin"})
    people.sql("UPDATE people SET name = 'b' WHERE id = 2")
    assert people.run().read == 1
    people.set(source=SOURCE)
    assert people.read_log("DELETE FROM people WHERE id = 3").gone == 1
    people.check()


def test_a_log_without_the_key_is_refused(gold_only):
    """The message says what the owner of the table has to run."""
    people = gold_only()
    people.sql("ALTER TABLE people REPLICA IDENTITY NOTHING")
    with pytest.raises(ContractBroken, match="REPLICA IDENTITY FULL"):
        people.begin()
    people.sql("ALTER TABLE people REPLICA IDENTITY FULL")
    people.read_log("UPDATE people SET id = 90 WHERE id = 9", "DELETE FROM people WHERE id = 8")
    people.check()
    people.sql("DROP PUBLICATION medallion_people")
    with pytest.raises(SettingError, match="CREATE PUBLICATION"):
        people.begin()


def test_nothing_new_lets_the_slot_go_on(gold_only):
    """The log of other tables is not kept for ever: a run without a batch advances the slot once that is much."""
    people = gold_only()
    at = people.slot_is_at()
    assert people.run() is None
    assert people.slot_is_at() == at
    people.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 17 << 20))")
    assert people.run() is None
    assert people.slot_is_at() != at
    assert people.read_log("DELETE FROM people WHERE id = 3").gone == 1
    people.check()


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_a_batch_too_large_for_memory_deletes_too(gold_only, deletes, monkeypatch):
    """Above the bound delta-rs merges rows and deletes in one commit."""
    people = gold_only(deletes=deletes)
    monkeypatch.setattr(rewrite, "MAX_BATCH_BYTES", 0)
    summary = people.read_log(
        "DELETE FROM people WHERE id < 3", "UPDATE people SET name = 'b' WHERE id = 5", "INSERT INTO people VALUES (70)"
    )
    applied = summary.sinks["gold"]
    assert (applied.inserted, applied.updated, applied.deleted, applied.superseded) == (1, 1, 2, 0)
    assert people.open("one").history(1)[0]["operation"] == "MERGE"
    people.check()


def test_an_older_batch_brings_no_deleted_row_back(logged):
    """The mark of a deleted row has the window's version: a batch from before loses against it."""
    people = logged()
    people.sql("UPDATE people SET name = 'a' WHERE id = 1")
    older = people.begin(max_rows=5, mode=Mode.TRIAL)
    people.extract(older)
    people.read_log("DELETE FROM people WHERE id = 1")
    for sink in ("silver", "gold"):
        assert people.apply(older, sink).superseded == 1
    people.check()


def test_slots_that_nobody_needs_are_dropped(gold_only, monkeypatch, tmp_path):
    """Those of pipelines whose file is gone, that are paused, or that read by transaction id again."""
    people = gold_only()
    people.environ(tmp_path)
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path))
    orphan = slot_name("gone", people.connections.lake.root)
    people.sql(f"SELECT pg_create_logical_replication_slot('{orphan}', 'pgoutput')")
    assert drop_unneeded_slots(people.pipeline, people.connections) == [orphan]
    assert drop_unneeded_slots(people.pipeline, people.connections) == []
    assert drop_unneeded_slots(people.pipeline, people.connections, paused=True) == [people.slot]
    people.run()
    people.set(source={**SOURCE, "read": "xmin"})
    assert drop_unneeded_slots(people.pipeline, people.connections) == [people.slot]
    assert drop_unneeded_slots(people.pipeline, people.connections) == []
