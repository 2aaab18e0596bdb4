"""A reconcile never deletes on doubt: not during a rewrite of the table, nor a large share without being asked to."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import psycopg
import pyarrow as pa
import pytest
from adbc_driver_manager import AdbcStatement
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from include.medallion.__main__ import app
from include.medallion.bronze.locked import describe_locked
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.table import describe_table
from include.medallion.config.sections.columns import ColumnSettings
from include.medallion.config.sections.tables import Source
from include.medallion.errors import TooManyDeletes
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from include.medallion.steps.run import run_window
from tests.integration.one_table import OneTable
from tests.integration.servers import server, standby

ROWS = 100
DDL = "CREATE TABLE people (id int PRIMARY KEY, v int, postcode text)"
INSERT = "INSERT INTO people SELECT n, n, NULL FROM generate_series({}, {}) AS n"
PARTITIONED = [
    "CREATE TABLE people (id int PRIMARY KEY, v int, postcode text) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF people FOR VALUES FROM (0) TO (51)",
    "CREATE TABLE high PARTITION OF people FOR VALUES FROM (51) TO (1000)",
]
REWRITES = {
    "alter type": ["ALTER TABLE people ALTER v TYPE bigint USING v + 1"],
    "truncate and reload": [
        "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM people",
        "TRUNCATE people",
        "INSERT INTO people SELECT * FROM kept",
    ],
    "swap of names": [
        "CREATE TABLE fresh (LIKE people INCLUDING ALL)",
        "INSERT INTO fresh SELECT * FROM people",
        "ALTER TABLE people RENAME TO old",
        "ALTER TABLE fresh RENAME TO people",
    ],
}
PARTITION_REWRITES = {
    "alter type": ["ALTER TABLE people ALTER v TYPE bigint"],
    "one partition": [
        "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM high",
        "TRUNCATE high",
        "INSERT INTO people SELECT * FROM kept",
    ],
    "swap of partitions": [
        "CREATE TABLE fresh (LIKE people INCLUDING ALL)",
        "INSERT INTO fresh SELECT * FROM high",
        "ALTER TABLE people DETACH PARTITION high",
        "ALTER TABLE people ATTACH PARTITION fresh FOR VALUES FROM (51) TO (1000)",
    ],
}


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a way to make a table of 100 people who arrived in both sinks."""

    def make(*ddl, dsn=bronze_dsn, **source):
        people = OneTable(dsn, lake_uri, lake, silver, {"table": "people", "key": "id"} | source)
        people.sql(*(ddl or [DDL]), INSERT.format(1, ROWS))
        people.run()
        return people

    return make


@pytest.fixture
def people(table):
    """Lend a plain table."""
    return table()


def deleted(people):
    """Return how many rows each sink marks as deleted, or lacks."""
    rows = people.silver(), people.gold()
    return [ROWS - len([row for row in found if row["_deleted_at"] is None]) for found in rows]


@contextmanager
def rewriting(people, statements, dsn=None):
    """Begin a rewrite, which is committed at the end: what was started meanwhile waits for it."""
    with psycopg.connect(dsn or people.dsn) as writer:
        for statement in statements:
            writer.execute(statement)
        yield
        wait_for_waiting(people.dsn if dsn is None else dsn)


def wait_for_waiting(dsn, seconds=20):
    """Wait until a session waits for a lock."""
    deadline = time.monotonic() + seconds
    with psycopg.connect(dsn, autocommit=True) as watcher:
        while not watcher.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert time.monotonic() < deadline, "nothing waits for the rewrite"
            time.sleep(0.01)


def reconcile_during(people, statements):
    """Reconcile while a rewrite is open; it commits once the reconcile waits for it."""
    with ThreadPoolExecutor(1) as pool:
        with rewriting(people, statements):
            reconciling = pool.submit(reconcile, people.pipeline, people.connections)
        return reconciling.result()


@pytest.mark.parametrize("deletes", ["soft", "hard"])
@pytest.mark.parametrize("what", ["alter type", "truncate and reload"])
def test_a_rewrite_that_commits_meanwhile_deletes_nothing(people, what, deletes):
    """The snapshot is taken after the lock: the rewritten rows are there."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes, "max_delete_share": 1.0})
    report = reconcile_during(people, REWRITES[what])
    assert report.source == ROWS
    assert [sink.deleted for sink in report.sinks.values()] == [0, 0]
    assert deleted(people) == [0, 0]


@pytest.mark.parametrize("what", PARTITION_REWRITES)
def test_a_rewrite_of_partitions_deletes_nothing(table, what):
    """Every partition is locked, and one that takes another's place is noticed."""
    people = table(*PARTITIONED)
    people.pipeline = people.pipeline.model_copy(update={"max_delete_share": 1.0})
    report = reconcile_during(people, PARTITION_REWRITES[what])
    assert report.source == ROWS
    assert deleted(people) == [0, 0]


@pytest.mark.parametrize("what", REWRITES)
def test_a_role_that_cannot_lock_is_as_safe(table, what):
    """A role that may read some columns only cannot LOCK TABLE: the files are compared instead."""
    people = table()
    people.sql(
        "DO $$ BEGIN CREATE ROLE some_columns LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN END $$",
        "GRANT SELECT (id, v) ON people TO some_columns",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO some_columns",
    )
    uri = people.dsn.replace("://postgres:" + people.dsn.split(":")[2].split("@")[0], "://some_columns:x")
    source, columns = Source(table="people", key="id"), ColumnSettings(exclude=["postcode"])
    with bronze_connection.connect(uri) as connection, ThreadPoolExecutor(1) as pool:
        bronze_connection.fetch_rows(connection, "moment")
        with rewriting(people, REWRITES[what]):
            describe = partial(describe_table, connection, source, columns)
            describing = pool.submit(describe_locked, connection, source, describe)
        described = describing.result()
        assert described.relation == people.sql("SELECT 'people'::regclass::oid::int8")[0][0]
        assert count_rows(connection, "people") == ROWS


def test_a_materialised_view_that_is_refreshed_meanwhile_is_read_whole(table):
    """It cannot be locked by name either."""
    people = table()
    people.sql("CREATE MATERIALIZED VIEW seen AS SELECT * FROM people", "CREATE UNIQUE INDEX ON seen (id)")
    source = Source(table="seen", key="id")
    with bronze_connection.connect(people.dsn) as connection, ThreadPoolExecutor(1) as pool:
        with rewriting(people, ["REFRESH MATERIALIZED VIEW seen"]):
            describing = pool.submit(describe_locked, connection, source, partial(describe_table, connection, source))
        describing.result()
        assert count_rows(connection, "seen") == ROWS


def count_rows(connection, name):
    """Count the rows of a table in the snapshot of a connection."""
    with closing(AdbcStatement(connection)) as query:
        query.set_sql_query(f"SELECT count(*) AS rows FROM {name}")
        handle, _ = query.execute_query()
        return pa.RecordBatchReader._import_from_c(handle.address).read_all().to_pylist()[0]["rows"]


def test_a_full_refresh_during_a_rewrite_empties_nothing(people):
    """It replaces the sinks by what the snapshot holds, so that must be the table."""
    window = people.begin(mode=Mode.REFRESH)
    with ThreadPoolExecutor(1) as pool:
        with rewriting(people, REWRITES["truncate and reload"]):
            running = pool.submit(run_window, people.pipeline, people.connections, window)
        assert running.result().read == ROWS
    assert deleted(people) == [0, 0]


@pytest.fixture(scope="module")
def pair(sandbox_state):
    """Start a server and a standby of it."""
    with server(sandbox_state) as primary, standby(primary) as replica:
        yield primary, replica


@pytest.mark.parametrize("what", ["alter type", "truncate and reload"])
def test_a_rewrite_that_a_standby_replays_meanwhile_deletes_nothing(pair, table, what):
    """The lock works on a standby too: replay holds the primary's, until the commit is replayed."""
    primary, replica = pair
    name = "s_" + what.replace(" ", "_")
    primary.sql(f"CREATE DATABASE {name}")
    people = table(dsn=primary.uri(name))
    replica.follow(primary)
    people.connections = type(people.connections)(
        replica.uri(name), people.connections.silver, people.connections.lake, {}
    )
    people.pipeline = people.pipeline.model_copy(update={"max_delete_share": 1.0})
    people.run()
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(primary.uri(name)) as writer:
            for statement in REWRITES[what]:
                writer.execute(statement)
            replica.follow(primary)
            reconciling = pool.submit(reconcile, people.pipeline, people.connections)
            wait_for_waiting(replica.uri(name))
        replica.follow(primary)
        report = reconciling.result()
    assert report.source == ROWS
    assert deleted(people) == [0, 0]


@pytest.mark.parametrize("deletes", ["soft", "hard"])
@pytest.mark.parametrize("statement", ["TRUNCATE people", "DELETE FROM people WHERE id > 70"])
def test_a_large_share_of_deletes_is_refused_and_nothing_is_deleted(people, deletes, statement):
    """The message names the sinks, the counts, the setting and how to approve."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    people.sql(statement)
    lost = ROWS if "TRUNCATE" in statement else 30
    with pytest.raises(TooManyDeletes) as refused:
        reconcile(people.pipeline, people.connections)
    message = str(refused.value)
    assert f"{lost} of 100 rows of silver and {lost} of 100 rows of gold" in message
    assert "max_delete_share (0.2)" in message
    assert "approve_deletes" in message
    assert deleted(people) == [0, 0]


def test_a_refused_reconcile_is_not_finished_by_the_next(people):
    """Rows that came back in between stay."""
    people.sql("TRUNCATE people")
    with pytest.raises(TooManyDeletes):
        reconcile(people.pipeline, people.connections)
    people.sql(INSERT.format(1, ROWS))
    people.run()
    assert reconcile(people.pipeline, people.connections).lost == 0
    assert deleted(people) == [0, 0]


def test_approved_deletes_are_applied(people):
    """In both sinks, as the pipeline says."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": "hard"})
    people.sql("TRUNCATE people")
    report = reconcile(people.pipeline, people.connections, approve_deletes=True)
    assert [(sink.live, sink.deleted) for sink in report.sinks.values()] == [(0, ROWS), (0, ROWS)]
    assert people.silver() == people.gold() == []


@pytest.mark.parametrize(("lost", "share", "least"), [(20, 0.2, 0), (20, 0.0, 20), (100, 1.0, 0), (100, 0.2, 100)])
def test_deletes_within_the_bounds_need_no_approval(people, lost, share, least):
    """A share up to the limit, or few rows."""
    people.pipeline = people.pipeline.model_copy(update={"max_delete_share": share, "min_deletes": least})
    people.sql(f"DELETE FROM people WHERE id <= {lost}")
    report = reconcile(people.pipeline, people.connections)
    assert [sink.deleted for sink in report.sinks.values()] == [lost, lost]


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_rows_of_another_writer_that_the_source_does_not_have_are_deleted(people, deletes):
    """A row without a version, and one that is there twice."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    lake = people.connections.lake
    gold = DeltaTable(lake.table("one"), storage_options=dict(lake.options))
    rows = gold.to_pyarrow_table(filters=[("id", "=", 1)])
    twice = pa.concat_tables([rows.set_column(rows.column_names.index("id"), "id", pa.array([501], pa.int32()))] * 2)
    bare = pa.table({name: pa.nulls(1, rows.schema.field(name).type) for name in rows.column_names})
    named = bare.set_column(rows.column_names.index("id"), "id", pa.array([500], pa.int32()))
    write_deltalake(gold, pa.concat_tables([twice, named]), mode="append")
    with people.account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO ONE (ID) VALUES (500)")
        cursor.execute("INSERT INTO ONE (ID, _VERSION) VALUES (501, 1), (501, 1)")
    reconcile(people.pipeline, people.connections)
    for found in (people.silver(), people.gold()):
        assert {row["id"] for row in found if row["_deleted_at"] is None} == {*range(1, ROWS + 1)}
    assert reconcile(people.pipeline, people.connections).faults == 0


def test_the_shell_approves_deletes(people, tmp_path, monkeypatch):
    """`reconcile --approve-deletes`; without it the exit code says that a person must act."""
    lake = people.connections.lake
    (tmp_path / "one.yaml").write_text(
        people.pipeline.model_dump_json(by_alias=True, exclude={"name"}, exclude_none=True)
    )
    given = {"AWS_URI": lake.root, **lake.options, "AIRFLOW_CONN_BRONZE": people.dsn}
    given |= {"AIRFLOW_CONN_SILVER": people.account.airflow(), "MEDALLION_PIPELINES": str(tmp_path)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    people.sql("TRUNCATE people")
    refused = CliRunner().invoke(app, ["reconcile", "one"])
    assert (refused.exit_code, "TooManyDeletes: " in refused.output) == (1, True)
    assert deleted(people) == [0, 0]
    approved = CliRunner().invoke(app, ["reconcile", "one", "--approve-deletes"])
    assert approved.exit_code == 0, approved.output
    assert deleted(people) == [ROWS, ROWS]


def test_a_full_refresh_of_an_empty_table_empties_the_sinks(people):
    """The source is the truth, also when it has nothing."""
    people.sql("DELETE FROM people")
    summary = people.run(mode=Mode.REFRESH)
    assert (summary.read, people.silver(), people.gold()) == (0, [], [])
    assert people.run() is None
    people.sql(INSERT.format(1, 2))
    assert people.run().read == 2
    assert people.silver() == people.gold()


@pytest.mark.parametrize("enrich", [None, []])
def test_a_first_run_on_an_empty_table_creates_the_sinks(bronze_dsn, lake_uri, lake, silver, enrich):
    """With the columns of the table; the next run starts from their position."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    if enrich is not None:
        people.pipeline = people.pipeline.model_copy(update={"enrich": enrich})
    people.sql(DDL)
    assert people.run().read == 0
    assert people.silver() == people.gold() == []
    assert {"id", "v", "postcode", "_version"} <= set(people.gold_names())
    assert people.run() is None
    assert reconcile(people.pipeline, people.connections).lost == 0


def test_a_table_that_is_created_again_empty_ends_the_circle(people):
    """Full refresh accepts the new table, and the next run continues from it."""
    people.sql("DROP TABLE people", DDL)
    people.run(mode=Mode.REFRESH)
    assert people.silver() == people.gold() == []
    people.sql(INSERT.format(1, 3))
    assert people.run().read == 3
