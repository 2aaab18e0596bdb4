"""A standby that lacks the newest changes is promoted: the source is refused, accepted, and read on without a loss."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace

import pytest

from include.medallion.errors import SourceChanged
from include.medallion.model.differences import check_nothing_lost
from include.medallion.ops.reconcile import reconcile
from include.medallion.steps.log.advance import advance_log
from include.medallion.steps.run import run_window
from tests.integration.servers import server, standby
from tests.integration.test_log import Logged
from tests.integration.test_watch import PEOPLE, polling

DDL = "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text, day date)"
PUBLISH = "CREATE PUBLICATION medallion_people FOR TABLE people"
ROWS = "INSERT INTO people SELECT n, 'name ' || n, '98052' FROM generate_series(1, 10) AS n"
LOST = (
    "INSERT INTO people VALUES (20, 'no date', NULL, 'infinity')",
    "INSERT INTO people VALUES (11, 'lost', '98052')",
    "UPDATE people SET name = 'lost', postcode = '60601' WHERE id IN (2, 3)",
    "DELETE FROM people WHERE id = 4",
    "UPDATE people SET id = 50 WHERE id = 5",
)
"""What the sinks hold and the promoted server does not."""
SINCE = (
    "INSERT INTO people VALUES (20, 'with a date', NULL, '2020-02-29')",
    "UPDATE people SET name = 'other', postcode = '10001' WHERE id = 3",
    "INSERT INTO people VALUES (11, 'new', '10001'), (12, 'new', NULL)",
    "INSERT INTO people VALUES (21, 'no date', NULL, 'infinity')",
    "UPDATE people SET day = 'infinity' WHERE id = 1",
    "DELETE FROM people WHERE id = 6",
    "UPDATE people SET id = 70 WHERE id = 7",
)
"""What is written to the promoted server before the source is accepted, by transactions with the ids of lost ones."""
LATER = (
    "INSERT INTO people VALUES (13, 'later', '98052')",
    "UPDATE people SET day = NULL WHERE id IN (1, 21)",
    "UPDATE people SET name = 'later' WHERE id IN (1, 2, 4)",
    "DELETE FROM people WHERE id = 8",
    "UPDATE people SET id = 90 WHERE id = 9",
)
FOLLOWS = {"hot_standby_feedback": "on", "sync_replication_slots": "off"}  # slots are synchronised when a test says so


@pytest.fixture(scope="module")
def primary(sandbox_state):
    """Start a server whose standbys are promoted; it is never stopped by that."""
    with server(sandbox_state, autovacuum="off") as lent:
        yield lent


@pytest.fixture
def table(primary, lake_uri, lake, silver, request):
    """Lend a function that makes a table of ten people who arrived."""

    def make(read):
        name = f"people_{abs(hash(request.node.name))}"
        primary.sql(f"CREATE DATABASE {name}")
        people = Logged(primary.uri(name), lake_uri, lake, silver, {"table": "people", "key": "id", "read": read})
        people.sql(DDL, PUBLISH, ROWS)
        people.run_to_end()
        return people

    return make


@contextmanager
def left_behind(primary, people, *, synchronised=False):
    """Lend a standby that has replayed all so far, and receives nothing more."""
    slot = f"physical_{primary.sql('SELECT count(*) FROM pg_replication_slots')[0][0]}" if synchronised else None
    with standby(primary, slot, **FOLLOWS) as replica:
        if synchronised:
            primary.sql(f"ALTER SYSTEM SET synchronized_standby_slots = '{slot}'", "SELECT pg_reload_conf()")
            synchronise(primary, replica, people)
            primary.sql("ALTER SYSTEM RESET synchronized_standby_slots", "SELECT pg_reload_conf()")
        replica.follow(primary)
        replica.cut_off()
        yield replica


def synchronise(primary, replica, people):
    """Run until the slot of the pipeline is on the standby."""
    for n in range(5):
        people.sql(f"UPDATE people SET name = 'name {n}' WHERE id = 10")
        primary.sql("SELECT pg_log_standby_snapshot()")  # from which the slot knows that no transaction is open
        people.run_to_end()
        replica.follow(primary)
        replica.sql("SELECT pg_sync_replication_slots()")
        if replica.sql(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{people.slot}' AND NOT temporary"):
            return
    raise AssertionError("the slot was not synchronised")


def fail_over(people, primary, replica):
    """Promote a standby, and let the pipeline's connection point to it."""
    replica.promote()
    database = people.dsn.rpartition("/")[2]
    people.dsn = replica.uri(database)
    people.connections = replace(people.connections, bronze=people.dsn)


def accept(people):
    """Accept the promoted server; compare both sinks with it."""
    check_nothing_lost(reconcile(people.pipeline, people.connections, accept=True))
    check(people)


def check(people):
    """
    Compare all living rows of both sinks with the source, by value and version; its bad rows are in quarantine.

    Rows of one postcode have one place, and rows without have none.
    """
    wanted = people.sql(
        "SELECT id, name, postcode, day, xmin::text::bigint FROM people WHERE day IS DISTINCT FROM 'infinity' "
        'ORDER BY id::text COLLATE "C"'
    )
    for rows in (people.gold(), people.silver()):
        live = [row for row in rows if row["_deleted_at"] is None]
        assert [tuple(row[name] for name in ("id", "name", "postcode", "day", "_version")) for row in live] == wanted
        places = {(row["postcode"], row["latitude"]) for row in live}
        assert len(places) == len({postcode for postcode, _ in places})
        assert {postcode for postcode, latitude in places if latitude is None} == {None}
    bad = people.sql("SELECT format('[\"%s\"]', id) FROM people WHERE day = 'infinity' ORDER BY 1")
    assert [(entry["key"],) for entry in people.quarantine() if entry["closed_at"] is None] == bad


@pytest.mark.parametrize(
    ("read", "synchronised"), [("xmin", False), ("log", False), ("log", True)], ids=["xmin", "log", "log and slot"]
)
def test_a_promoted_standby_is_accepted(primary, table, read, synchronised):
    """
    The sinks hold changes that were lost, and ids of transactions are given again: all ends as in the new primary.

    A batch that was staged before is refused, and later changes arrive as ever.
    """
    people = table(read)
    with left_behind(primary, people, synchronised=synchronised) as replica:
        people.sql(*LOST[:3])
        staged = people.begin()
        people.stage(staged)
        people.sql(*LOST[3:])
        people.run_to_end()
        fail_over(people, primary, replica)
        assert (people.slot_is_at() is not None) == synchronised
        people.sql(*SINCE)
        ((version,),) = people.sql("SELECT xmin::text::bigint FROM people WHERE id = 20")
        assert [entry["_version"] for entry in people.quarantine()] == [version]
        with pytest.raises(SourceChanged, match="accept_source"):
            people.run_to_end()
        accept(people)
        for sink in ("silver", "gold"):
            with pytest.raises(SourceChanged):
                people.apply(staged, sink)
        if read == "log":
            at = people.slot_is_at()
            people.read_log(*LATER)
            people.run_to_end()
            slots = people.sql(f"SELECT synced, confirmed_flush_lsn > '{at}' FROM pg_replication_slots")
            assert slots == [(synchronised, True)]
        else:
            people.sql(*LATER)
            people.run()
            reconcile(people.pipeline, people.connections)
        check(people)


@contextmanager
def standby_down(primary):
    """Let logical slots wait for a standby that never connects."""
    primary.sql("SELECT pg_create_physical_replication_slot('down')")
    primary.sql("ALTER SYSTEM SET synchronized_standby_slots = 'down'", "SELECT pg_reload_conf()")
    while primary.sql("SHOW synchronized_standby_slots") != [("down",)]:
        pass
    try:
        yield
    finally:
        primary.sql("ALTER SYSTEM RESET synchronized_standby_slots", "SELECT pg_reload_conf()")
        primary.sql("SELECT pg_drop_replication_slot('down')")


def test_a_standby_that_is_down_delays_deletes_only(primary, table):
    """Rows are read by transaction id meanwhile, and the slot stays: once it is back, the log brings the deletes."""
    people = table("log")
    with standby_down(primary):
        at = people.slot_is_at()
        people.sql(
            "INSERT INTO people VALUES (30, 'new', NULL, NULL), (31, 'no date', NULL, 'infinity')",
            "DELETE FROM people WHERE id = 1",
        )
        window = people.begin()
        assert window.log
        run_window(people.pipeline, people.connections, window)
        assert {1, 30} <= {row["id"] for row in people.gold() if row["_deleted_at"] is None}
        assert people.slot_is_at() == at
    people.read_log()
    check(people)
    assert people.slot_is_at() != at


def test_a_batch_ends_when_its_standby_goes_down(primary, table):
    """Its slot stays until a later run advances it."""
    people = table("log")
    people.sql(
        "INSERT INTO people VALUES (30, 'new', NULL, NULL), (31, 'no date', NULL, 'infinity')",
        "DELETE FROM people WHERE id = 1",
    )
    window = people.begin()
    assert people.stage(window)
    with standby_down(primary):
        at = people.slot_is_at()
        for sink in ("silver", "gold"):
            people.apply(window, sink)
        people.commit(window)
        advance_log(people.pipeline, people.connections, window)
        assert people.slot_is_at() == at
        check(people)
    people.read_log()
    assert people.slot_is_at() != at


def test_a_watcher_does_not_wait_for_a_standby(primary, table):
    """While a standby is down a poll returns at once; once it is back, a poll reports the changes."""
    people = table("log")

    async def watch():
        async with polling(people.dsn, replace(PEOPLE, slot=people.slot)) as poll:
            with standby_down(primary):
                people.sql("DELETE FROM people WHERE id = 1")
                assert await poll(5) == ""
            assert await poll(5) == "the log has changes"

    asyncio.run(watch())
