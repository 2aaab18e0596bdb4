"""Transaction ids that come back, or come late: what is below the horizon must stay below it."""

from __future__ import annotations

import psutil
import psycopg
import pytest

from include.medallion.bronze import horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.model.window import Mode
from include.sandbox import postgres as postgres_server
from include.sandbox import processes
from include.sandbox.processes import Daemon
from tests.integration.one_cluster import cluster
from tests.integration.one_table import OneTable

DDL = "CREATE TABLE items (id int PRIMARY KEY, postcode text, note text)"
INSERT = "INSERT INTO items VALUES (%s, '98052', %s)"


@pytest.fixture
def items(lake_uri, lake, silver):
    """Return a function that makes the table, with one row, and its pipeline."""

    def made(dsn):
        table = OneTable(dsn, lake_uri, lake, silver, {"table": "items", "key": "id"})
        table.sql(DDL, "INSERT INTO items VALUES (1, '98052', 'first')")
        return table

    return made


def test_a_row_that_an_older_transaction_writes_after_a_refresh_arrives(items, bronze_dsn):
    """A refresh reads a row above the horizon; who writes it next may have a lower id, and is newer all the same."""
    table = items(bronze_dsn)
    with psycopg.connect(bronze_dsn) as early, psycopg.connect(bronze_dsn) as late:
        early.execute(INSERT, [2, "begun before"])
        late.execute("UPDATE items SET note = 'second' WHERE id = 1")
        late.commit()
        table.run(mode=Mode.REFRESH)
        assert [row["note"] for row in table.gold()] == ["second"]
        early.execute("UPDATE items SET note = 'third' WHERE id = 1")
        early.commit()
    table.run()
    assert [row["note"] for row in table.gold()] == [row["note"] for row in table.silver()] == ["third", "begun before"]


def test_a_crash_of_the_source_gives_no_id_of_a_window_to_another(items, sandbox_state):
    """Ids of transactions that a crash forgot are given again: none of them may be below a window's end."""
    with cluster(sandbox_state, "crashing") as crashing:
        table = items(crashing.database())
        with psycopg.connect(table.dsn) as connection:
            for number in range(50):
                connection.execute(INSERT, [2, f"undone {number}"])
                connection.rollback()
        window = table.begin()
        _crash(crashing)
        assert table.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") >= [(window.upto,)]


@pytest.mark.parametrize("last", ["SELECT pg_switch_wal()", None], ids=["a segment", "a page"])
def test_a_window_of_an_idle_source_opens_at_once(sandbox_state, monkeypatch, last):
    """Where the log ends at the head of an empty page, nothing is unwritten, and nothing is waited for."""
    monkeypatch.setattr(horizon, "SECONDS_TO_FLUSH", 3)
    with cluster(sandbox_state, "idle") as idle:
        for _ in range(3):  # the server itself may log something meanwhile
            idle.sql(last) if last else _fill_page(idle)
            with bronze_connection.connect(idle.server.uri("postgres")) as connection:
                horizon.wait_for_wal_flush(connection)


def test_a_transaction_that_stays_open_delays_no_window(items, sandbox_state, monkeypatch):
    """The log's last page is written also if it ends with an uncommitted record."""
    monkeypatch.setattr(horizon, "SECONDS_TO_FLUSH", 3)
    with cluster(sandbox_state, "open") as server:
        table = items(server.database())
        with psycopg.connect(table.dsn) as connection:
            for number in range(2, 7):
                connection.execute(INSERT, [number, "open"])
                table.begin()


def _fill_page(cluster):
    """Log a message that ends where a page ends."""

    def log(size):
        cluster.sql(f"SELECT pg_logical_emit_message(false, '', repeat('x', {size}), true)")
        return cluster.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8")[0][0]

    cost = -log(1_000) + log(1_000) - 1_000
    for _ in range(20):
        if (end := log(400)) % 8192 < 6_000 and log(8192 - (end % 8192) - cost) % 8192 == 24:
            return
    raise AssertionError("no message ended where a page ends")


def _crash(cluster):
    """Kill the server's processes, and start it again."""
    server = processes.running(Daemon(cluster.state, f"postgres-{cluster.name}"))
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=10)
    cluster.server = postgres_server.start(cluster.state, cluster.name, durable=False)
