"""Watching a real source: what starts a run, and what does not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.rows import dict_row

from include.medallion.bronze.watch.watcher import Watched, Watcher
from include.medallion.errors import SettingError, Transient
from tests.integration.test_log import gold_only, made, wait_until  # noqa: F401 (fixtures)

PEOPLE = Watched("bronze", "public", "people", "medallion_people")


@pytest.fixture
def people(bronze_dsn):
    """Lend a function that runs statements in a database with a table of three rows."""

    def sql(*statements):
        with psycopg.connect(bronze_dsn, autocommit=True) as connection:
            return [connection.execute(statement) for statement in statements]

    sql("CREATE TABLE people (id int PRIMARY KEY, name text)", "INSERT INTO people SELECT generate_series(1, 3)")
    sql.dsn = bronze_dsn
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        wait_until(connection, "SELECT n_tup_ins = 3 FROM pg_stat_all_tables WHERE relid = 'people'::regclass")
    return sql


@asynccontextmanager
async def polling(dsn, watched=PEOPLE):
    """Lend a function that polls until there is a reason, or as often as it is told."""
    watcher = Watcher(watched)
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)
    async with connection:

        async def poll(polls=400):
            for _ in range(polls):
                if reason := await watcher.poll(connection):
                    return reason
                await connection.execute("SELECT pg_sleep(0.01)")  # statistics come a moment after the transaction
            return ""

        poll.first = await poll(1)
        await poll(20)  # what was written before
        await poll(5)
        yield poll


def test_statistics_tell_of_rows(people):
    """Inserted and updated rows start a run; reads, other tables and deletes, which no run would see, do not."""

    async def watch():
        async with polling(people.dsn) as poll:
            assert await poll(20) == ""
            people("INSERT INTO people VALUES (4)")
            assert await poll() == "rows were written"
            people("SELECT * FROM people", "DELETE FROM people WHERE id = 1", "CREATE TABLE others AS SELECT 1")
            assert await poll(20) == ""
            people("UPDATE people SET name = 'a' WHERE id = 2")
            assert await poll() == "rows were written"
            people("TRUNCATE people")
            assert await poll() == "the table was altered"

    asyncio.run(watch())


def test_a_partitioned_table_is_the_sum_of_its_leaves(people):
    """The root has no statistics of its own."""
    people(
        "DROP TABLE people",
        "CREATE TABLE people (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)",
        "CREATE TABLE people_11 PARTITION OF people_1 FOR VALUES FROM (0) TO (5)",
    )

    async def watch():
        async with polling(people.dsn) as poll:
            people("INSERT INTO people VALUES (1)")
            assert await poll() == "rows were written"
            people("CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (10) TO (20)")
            assert await poll() == "the table was altered"
            assert await poll(20) == ""

    asyncio.run(watch())


def test_any_role_may_watch(people):
    """Not even SELECT is needed."""
    people("DROP ROLE IF EXISTS watcher", "CREATE ROLE watcher LOGIN PASSWORD 'w'")

    async def watch():
        async with polling(psycopg.conninfo.make_conninfo(people.dsn, user="watcher", password="w")) as poll:
            people("INSERT INTO people VALUES (4)")
            assert await poll() == "rows were written"

    asyncio.run(watch())
    people("DROP ROLE watcher")


def test_reset_statistics_start_a_run(people):
    """What was written before the reset was perhaps not seen."""

    async def watch():
        async with polling(people.dsn) as poll:
            people("SELECT pg_stat_reset()")
            assert await poll() == "rows were written"

    asyncio.run(watch())


def test_a_notification_starts_a_run_at_once(people):
    """Also one that came while nobody was listening; a connection that is lost is `Transient`."""
    watcher = Watcher(replace(PEOPLE, channel="people changed"))

    async def watch():
        reasons = watcher.reasons(people.dsn)
        assert await anext(reasons) == "the source is watched from now on"
        people("INSERT INTO people VALUES (4)")
        assert await anext(reasons) == "rows were written"
        people('NOTIFY "people changed"')
        assert await anext(reasons) == "a notification came"
        others = "query LIKE '-- What a source says%' AND pid <> pg_backend_pid()"
        people(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        with pytest.raises(Transient):
            await anext(reasons)
        again = watcher.reasons(people.dsn)
        assert await anext(again) == "a notification came"
        await again.aclose()

    asyncio.run(watch())


def test_a_table_that_is_missing_is_named(people):
    """The triggerer's log says what is not watched."""

    async def watch():
        await anext(Watcher(replace(PEOPLE, table="nobody")).reasons(people.dsn))

    with pytest.raises(SettingError, match=r"public\.nobody"):
        asyncio.run(watch())


def test_the_log_tells_of_changes(gold_only):  # noqa: F811
    """
    Each kind of change starts a run at once, and no longer when the slot has gone on; other tables start none.

    A watcher that starts anew sees what no run has read, and starts no run if there is nothing.
    """
    one = gold_only()

    async def watch():
        async with polling(one.dsn, replace(PEOPLE, slot=one.slot)) as poll:
            assert await poll(5) == ""
            for statement in (
                "DELETE FROM people WHERE id = 1",
                "UPDATE people SET id = 20 WHERE id = 2",
                "INSERT INTO people VALUES (30, 'new')",
            ):
                one.sql(statement)
                assert await poll(1) == "the log has changes"
                assert await poll(5) == ""
            one.sql("INSERT INTO people VALUES (31, 'new')")
            async with polling(one.dsn, replace(PEOPLE, slot=one.slot)) as restarted:
                assert restarted.first == "the log has changes"
            assert await poll(1) == "the log has changes"
            one.run_to_end()
            async with polling(one.dsn, replace(PEOPLE, slot=one.slot)) as restarted:
                assert restarted.first == ""
            one.sql(
                "CREATE TABLE others (id int PRIMARY KEY)",
                "ALTER PUBLICATION medallion_people ADD TABLE others",
                "INSERT INTO others SELECT generate_series(1, 100)",
                "TRUNCATE others",
                "BEGIN; DELETE FROM people; ROLLBACK",
            )
            assert await poll(5) == ""
            one.sql("INSERT INTO others VALUES (200)", "TRUNCATE people")
            assert await poll(1) == "the log has changes"
            one.drop_slot()
            assert await poll(3) == "the replication slot is missing"

    asyncio.run(watch())
