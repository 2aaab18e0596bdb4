"""
The window by log: every change arrives, however transactions overlap, and each row ends with its final version.

The counterpart of `test_window.py` for `read: log`: the same writers on the same kind of cluster, and deletes, new keys
and prepared transactions besides, which a window by transaction id does not see or waits for.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.medallion.bronze import horizon
from include.medallion.bronze import table as bronze_table
from include.medallion.bronze.log.changes import check_visible, collect_keys
from include.medallion.bronze.log.rows import KeyedRows, read_keyed_rows
from include.medallion.bronze.log.slot import advance_slot, create_slot, find_slot
from include.medallion.config.pipeline import Pipeline
from include.medallion.model.log_range import LogRange
from include.medallion.model.window import Mode, plan_window
from tests.integration.test_window import (  # noqa: F401 (fixtures)
    Play,
    Standing,
    connect,
    connection,
    dsn,
    insert,
    quiet,
    sql,
    writers,
)

PIPELINE = Pipeline.model_validate(
    {"name": "items", "source": {"table": "items", "key": "id", "read": "log"}, "gold": {"table": "items"}}
)
SOURCE, SLOT = PIPELINE.source, "log_window"


class ByLog(Standing):
    """Reads the log window after window, and applies what it reads as a sink does."""

    def __init__(self, dsn, connection):  # noqa: F811
        super().__init__(dsn, connection)
        self.rows: dict[int, tuple[int, str | None]] = {}  # version and name, or None of a deleted row
        self.late: dict[tuple, int] = {}
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("CREATE PUBLICATION medallion_items FOR TABLE items")
        with self.snapshot():
            create_slot(self.connection, SOURCE, SLOT)

    def next(self):
        """Open the next window, read it, apply it, and let the slot go on; return how many keys had changed."""
        with self.snapshot():
            table = bronze_table.describe_table(self.connection, SOURCE)
            moment, slot = horizon.read_horizon(self.connection, table), find_slot(self.connection, SLOT)
            window = plan_window("items", moment, [self.held], datetime.now(UTC), Mode.WINDOW)
        span = LogRange(SLOT, slot.confirmed, max(slot.confirmed, moment.lsn), 0)
        due = [key for key, version in self.late.items() if version < window.upto]
        found = KeyedRows()
        with self.snapshot():
            changed = collect_keys(self.connection, SOURCE, table.relation, span)
            check_visible(self.connection, changed.transactions)
            keys = [*dict.fromkeys([*changed.keys, *due])]
            batches = [*read_keyed_rows(self.connection, PIPELINE, table, window, keys, found)]
        self._apply([(r["id"], r["_version"], r["name"]) for batch in batches for r in batch.to_pylist()])
        self._apply([(r["id"], r["_version"], None) for batch in found.gone for r in batch.to_pylist()])
        waiting = {key: version for key, version in self.late.items() if version >= window.upto}
        self.late = {**waiting, **dict(zip(found.late, found.late_versions, strict=True))}
        self.held = window.position
        with self.snapshot():
            advance_slot(self.connection, SOURCE, SLOT, span.upto)
        return len(keys)

    def _apply(self, rows):
        """Replace only rows of an older version, or of the same one in an older batch."""
        for key, version, name in rows:
            if key not in self.rows or self.rows[key][0] <= version:
                self.rows[key] = (version, name)

    @property
    def living(self):
        """The rows that are not deleted."""
        return {(key, version, name) for key, (version, name) in self.rows.items() if name is not None}

    def forget(self):
        """Begin again with an empty table."""
        self.rows, self.late = {}, {}
        with self.snapshot():
            moment = horizon.read_horizon(self.connection, bronze_table.describe_table(self.connection, SOURCE))
        with self.snapshot():
            advance_slot(self.connection, SOURCE, SLOT, moment.lsn)


@pytest.fixture
def by_log(dsn, connection):  # noqa: F811
    """Lend a reader with a slot, which is dropped in the end."""
    reader = ByLog(dsn, connection)
    yield reader
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"SELECT pg_drop_replication_slot('{SLOT}')")


class LogPlay(Play):
    """Three writers that also delete rows, change keys, and leave transactions prepared."""

    def __init__(self, reader, writers, sql):  # noqa: F811
        super().__init__(reader, writers)
        self.sql, self.serial = sql, 0
        self.prepared = [name for (name,) in sql("SELECT gid FROM pg_prepared_xacts").fetchall()]
        for writer in writers:
            writer.rollback()
        self.settle()

    def step(self, action, number):
        """Do one thing; what is impossible at the moment is left out."""
        writer, some = self.writers[number], "SELECT id FROM items ORDER BY id DESC LIMIT 2 FOR UPDATE SKIP LOCKED"
        if action == "delete":
            writer.execute(f"DELETE FROM items WHERE id IN ({some.replace(' DESC', '')})")
        elif action == "new key":
            writer.execute(f"UPDATE items SET id = nextval('items_id_seq') WHERE id IN ({some})")
        elif action == "insert again":
            with suppress(psycopg.errors.LockNotAvailable), writer.transaction():  # another writer holds the key
                writer.execute("SET LOCAL lock_timeout = 1")
                writer.execute("INSERT INTO items VALUES (%s, '0') ON CONFLICT DO NOTHING", [-1 - number % 2])
        elif action == "prepare":
            self.serial += 1
            writer.execute("SELECT pg_current_xact_id()")
            writer.execute(f"PREPARE TRANSACTION 'p{self.serial}'")
            self.prepared.append(f"p{self.serial}")
            self.savepoints[number] = 0
        elif action == "end":
            if self.prepared:
                self.sql(f"{'ROLLBACK' if number == 0 else 'COMMIT'} PREPARED '{self.prepared.pop(0)}'")
        else:
            super().step(action, number)

    def settle(self):
        """End all transactions."""
        for number in range(3):
            self.step("commit", number)
        while self.prepared:
            self.step("end", 1)


OFTEN = ["insert", "update", "delete", "new key", "commit", "window"]
SELDOM = ["insert again", "savepoint", "RELEASE", "ROLLBACK TO", "rollback", "prepare", "end"]
STEPS = st.tuples(st.sampled_from([*OFTEN, *OFTEN, *SELDOM]), st.integers(0, 2))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_any_interleaving_arrives(by_log, writers, sql, steps):  # noqa: F811
    """What was read ends as the table, in values and versions, with every deleted row gone; then all is quiet."""
    play = LogPlay(by_log, writers, sql)
    sql("TRUNCATE items RESTART IDENTITY")
    by_log.forget()
    for action, number in steps:
        play.step(action, number)
    play.settle()
    by_log.next()
    by_log.next()  # rows that were read beside an older transaction, once more with their final version
    assert by_log.living == {*sql("SELECT id, xmin::text::bigint, name FROM items").fetchall()}
    assert by_log.next() == 0


def test_a_prepared_transaction_holds_nothing_back(by_log, connect, sql):  # noqa: F811
    """Rows beside it arrive at once; its own when it is committed, none when it is rolled back."""
    for end, names in (("ROLLBACK", {"beside"}), ("COMMIT", {"beside", "prepared"})):
        writer = connect()
        insert(writer, "prepared")
        writer.execute("PREPARE TRANSACTION 'log'")
        sql("INSERT INTO items (name) VALUES ('beside')")
        assert by_log.next() == 1
        sql(f"{end} PREPARED 'log'")
        by_log.next()
        assert {name for _, _, name in by_log.living} == names
