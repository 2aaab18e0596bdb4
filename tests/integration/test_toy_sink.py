"""
A sink that a user wrote: this file is all of it, the pipeline file names its opener, and no other file knows of it.

The sink keeps each row as JSON in a SQLite file, in one transaction per batch.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SettingError, SinkBehind, SourceChanged
from include.medallion.lake.object_store import Lake
from include.medallion.model.counts import Applied
from include.medallion.model.differences import Difference, check_nothing_lost
from include.medallion.model.log_range import slot_name
from include.medallion.model.window import Mode, Position, check_same_source, is_applied
from include.medallion.ops.maintenance import maintain, retention
from include.medallion.ops.reconcile import reconcile
from include.medallion.staging.archive import read_window
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.records.source_keys import SourceKeys
from tests.integration.one_table import OneTable

TABLES = """
CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row TEXT, version INTEGER, batch_id INTEGER, deleted_at TEXT);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, position TEXT);
"""
UPSERT = """
INSERT INTO rows VALUES (:key, :row, :version, :batch_id, NULL)
ON CONFLICT (key) DO UPDATE
SET row = :row, version = :version, batch_id = :batch_id, deleted_at = NULL
WHERE :version > version OR (:version = version AND :batch_id >= batch_id)
"""


def open_toy(name, pipeline, connections):
    """Open the sink; the pipeline file names this function."""
    return ToySink(name, pipeline, connections.lake, Path(pipeline.sinks[name].settings["file"]))


@dataclass(frozen=True)
class ToySink:
    """Rows in a SQLite file. Implements `staging.sink.Sink`."""

    name: str
    pipeline: Pipeline
    lake: Lake
    file: Path
    remember_position: bool = False

    def position(self, source) -> Position | None:  # noqa: ARG002 (the file holds one source)
        """Return what the file holds."""
        with self._transaction() as db:
            return self._position(db)

    def check(self, batch) -> None:
        """JSON holds any value."""

    def apply(self, batch) -> Applied:
        """Apply a batch in one transaction, fenced by version."""
        with self._transaction() as db:
            if is_applied(self.name, self._position(db), batch.window):
                return Applied.replay(batch.changes)
            if batch.window.mode is Mode.REFRESH:
                db.execute("DELETE FROM rows")
            counts = Counter(self._upsert(db, batch, row) for row in _staged(batch.lake, batch.files))
            counts.update(self._delete(db, batch, row) for row in _staged(batch.lake, batch.gone))
            if batch.window.mode.advances_watermark:
                self._move(db, batch.window.position)
        outcome = (counts[what] for what in ("inserted", "updated", "superseded"))
        return Applied(batch.changes, *outcome, deleted=counts["deleted"])

    @contextmanager
    def compare(self, keys) -> Iterator[ToyComparison]:
        """Compare the rows with the source's keys; nothing is deleted until the comparison is asked to."""
        staged = (row for part in keys.parts for row in _staged(self.lake, part.files))
        source = {self._key(row): row["_version"] for row in staged}
        due = {key: v for key, v in source.items() if v is not None and v < keys.window.upto}
        with self._transaction() as db:
            check_same_source(self.name, self._position(db), keys.window)
            held = dict(db.execute("SELECT key, version FROM rows WHERE deleted_at IS NULL"))
        lost = [key for key, version in held.items() if key not in source and version < keys.window.upto]
        missing = sum(key not in held for key in due)
        older = sum(key in held and held[key] < version for key, version in due.items())
        yield ToyComparison(self, keys, lost, Difference(len(held), missing, older, len(lost)))

    def delete(self, keys, lost) -> int:
        """Mark or remove rows in one transaction, unless a newer version came meanwhile; return how many."""
        mark = f"UPDATE rows SET deleted_at = '{keys.window.opened_at.isoformat()}'"
        statement = "DELETE FROM rows" if self.pipeline.deletes == "hard" else mark
        with self._transaction() as db:
            check_same_source(self.name, self._position(db), keys.window)
            which = [(key, keys.window.upto) for key in lost]
            return db.executemany(f"{statement} WHERE key = ? AND version < ?", which).rowcount if which else 0

    def row_count(self) -> int:
        """Count the rows."""
        with self._transaction() as db:
            return db.execute("SELECT count(*) FROM rows").fetchone()[0]

    def maintain(self, keep) -> str:  # noqa: ARG002 (it keeps no old versions)
        """Give the space of deleted rows back."""
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("VACUUM")
        return "1 file vacuumed"

    def rows(self, *, deleted=False):
        """Return the rows by key, those that are marked as deleted or the others."""
        with self._transaction() as db:
            found = db.execute(f"SELECT key, row FROM rows WHERE deleted_at IS {'NOT ' if deleted else ''}NULL")
            return {key: json.loads(row) for key, row in found}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
            db.executescript(TABLES)
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _position(self, db) -> Position | None:
        found = db.execute("SELECT position FROM state WHERE name = ?", [self.pipeline.name]).fetchone()
        return Position(**json.loads(found[0])) if found else None

    def _move(self, db, position) -> None:
        db.execute("REPLACE INTO state VALUES (?, ?)", [self.pipeline.name, json.dumps(asdict(position))])

    def _upsert(self, db, batch, row) -> str:
        key = self._key(row)
        there = db.execute("SELECT 1 FROM rows WHERE key = ?", [key]).fetchone()
        values = {"key": key, "row": json.dumps(row, default=str), "version": row["_version"]}
        written = db.execute(UPSERT, {**values, "batch_id": batch.window.batch_id}).rowcount
        return "inserted" if not there else "updated" if written else "superseded"

    def _delete(self, db, batch, row) -> str:
        """Mark or remove a row that the source no longer has, unless a newer version came meanwhile."""
        mark = f"UPDATE rows SET deleted_at = '{batch.window.opened_at.isoformat()}', version = {batch.window.upto}"
        statement = "DELETE FROM rows" if self.pipeline.deletes == "hard" else mark
        where = "key = ? AND deleted_at IS NULL AND version <= ?"
        deleted = db.execute(f"{statement} WHERE {where}", [self._key(row), row["_version"]]).rowcount
        return "deleted" if deleted else "superseded"

    def _key(self, row) -> str:
        return json.dumps([row[name] for name in self.pipeline.source.key], default=str)


@dataclass(frozen=True)
class ToyComparison:
    """The rows compared with the source's keys. Implements `staging.sink.Comparison`."""

    sink: ToySink
    keys: SourceKeys
    lost: list[str]
    difference: Difference

    def delete(self) -> int:
        """Delete the rows that the source lost."""
        return self.sink.delete(self.keys, self.lost)


def _staged(lake, files):
    return (row for rows in read_staged_rows(lake, files) for row in rows.to_pylist())


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver, tmp_path):
    """Return a table of three rows whose pipeline has no sink but the toy."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.pipeline = Pipeline.model_validate(
        {
            "name": "one",
            "source": {"table": "people", "key": "id"},
            "sinks": {
                "toy": {
                    "open": "tests.integration.test_toy_sink:open_toy",
                    "settings": {"file": str(tmp_path / "toy.db")},
                }
            },
        }
    )
    people.sql(
        "CREATE TABLE people (id serial PRIMARY KEY, name text, postcode text)",
        "INSERT INTO people (name, postcode) VALUES ('Ann', '98052'), ('Bob', NULL), ('Cid', 'x')",
    )
    return people


@pytest.fixture
def toy(people):
    """Return the sink of the pipeline, as a reader opens it."""
    return open_toy("toy", people.pipeline, people.connections)


def names(toy, **which):
    """Return the names of the sink's rows, sorted."""
    return sorted(row["name"] for row in toy.rows(**which).values())


def source(people):
    """Return the source's rows by key."""
    return {f"[{row[0]}]": row for row in people.sql("SELECT id, name, postcode FROM people")}


def held(toy):
    """Return the sink's rows by key, with the columns of the source."""
    return {key: (row["id"], row["name"], row["postcode"]) for key, row in toy.rows().items()}


def test_all_rows_arrive_and_are_counted(people, toy):
    """The sink holds the source's values, and the run's summary has its counts under its name."""
    summary = people.run()
    assert held(toy) == source(people)
    assert summary.sinks == {"toy": Applied(read=3, inserted=3, updated=0, superseded=0)}


def test_changes_arrive_and_the_position_moves(people, toy):
    """A second run reads from the sink's own position: only what changed."""
    people.run()
    people.sql("UPDATE people SET name = 'Bobby' WHERE id = 2", "INSERT INTO people (name) VALUES ('Dee')")
    summary = people.run()
    assert (summary.read, summary.sinks["toy"].inserted, summary.sinks["toy"].updated) == (2, 1, 1)
    assert held(toy) == source(people)


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_deletes_of_the_log_arrive_in_the_batch(people, toy, deletes):
    """A pipeline that reads the log hands the keys that are gone to any sink."""
    people.set(source={"table": "people", "key": "id", "read": "log"}, deletes=deletes)
    people.sql("CREATE PUBLICATION medallion_people FOR TABLE people")
    sink = open_toy("toy", people.pipeline, people.connections)
    people.run()
    people.sql("DELETE FROM people WHERE id = 2")
    summary = people.run()
    assert (summary.gone, summary.sinks["toy"].deleted) == (1, 1)
    assert held(toy) == source(people)
    assert len(sink.rows(deleted=True)) == (1 if deletes == "soft" else 0)
    people.sql(f"SELECT pg_drop_replication_slot('{slot_name('one', people.connections.lake.root)}')")


def test_nothing_new_is_not_a_batch(people, toy):
    """A run without changes returns no summary and leaves the sink alone."""
    people.run()
    before = toy.position(None)
    assert people.run() is None
    assert toy.position(None) == before


def test_a_replay_changes_nothing(people, toy):
    """The newest batch and an older one, applied again, are recognised: no row is touched."""
    windows = []
    for name in ("Dee", "Eve"):
        people.sql(f"INSERT INTO people (name) VALUES ('{name}')")
        windows.append(people.begin())
        people.extract(windows[-1])
        people.apply(windows[-1], "toy")
    before, position = toy.rows(), toy.position(None)
    assert all(people.apply(window, "toy").replayed for window in windows)
    assert (toy.rows(), toy.position(None)) == (before, position)


def test_the_shell_applies_a_batch_to_the_sink(people, toy, tmp_path):
    """`apply PIPELINE BATCH SINK` writes a staged batch; a sink that the pipeline does not have is refused by name."""
    window = people.begin()
    people.extract(window)
    refused = people.shell(tmp_path, "apply", "one", str(window.batch_id), "silver")
    assert (refused.returncode, refused.stderr) == (
        1,
        "SettingError: pipeline one has no silver: its sinks are ['toy']\n",
    )
    done = people.shell(tmp_path, "apply", "one", str(window.batch_id), "toy")
    assert json.loads(done.stdout)["inserted"] == 3, done.stderr
    assert held(toy) == source(people)


def test_an_overlapping_window_never_writes_an_older_version(people, toy):
    """After the sink lost its position everything is read again: the same rows, none doubled."""
    people.run()
    with toy._transaction() as db:
        db.execute("DELETE FROM state")
    people.sql("UPDATE people SET name = 'Anna' WHERE id = 1")
    assert people.run().read == 3
    assert held(toy) == source(people)


def test_a_window_that_starts_above_the_position_is_refused(people, toy):
    """A sink that was emptied after the window was opened takes nothing: rows would be lost."""
    people.run()
    people.sql("UPDATE people SET name = 'Anna' WHERE id = 1")
    window = people.begin()
    people.extract(window)
    toy.file.unlink()
    with pytest.raises(SinkBehind):
        people.apply(window, "toy")
    assert toy.rows() == {}


def test_a_full_refresh_replaces_the_rows(people, toy):
    """Rows that the source lost are gone afterwards."""
    people.run()
    people.sql("DELETE FROM people WHERE id = 3")
    assert people.run(mode=Mode.REFRESH).sinks["toy"].inserted == 2
    assert held(toy) == source(people)


def test_a_trial_does_not_move_the_position(people, toy):
    """Some rows arrive, and the next run still reads all."""
    people.run(mode=Mode.TRIAL, max_rows=1)
    assert (len(toy.rows()), toy.position(None)) == (1, None)
    people.run()
    assert held(toy) == source(people)


def test_another_source_is_refused(people, toy):
    """A table that was re-created needs a full refresh, as with the built-in sinks."""
    people.run()
    people.sql("DROP TABLE people", "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)")
    with pytest.raises(SourceChanged):
        people.run()
    assert names(toy) == ["Ann", "Bob", "Cid"]


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_deletes_are_reconciled(people, toy, deletes):
    """A reconcile marks or removes what the source lost, once."""
    people.pipeline = people.pipeline.model_copy(update={"deletes": deletes})
    people.run()
    people.sql("DELETE FROM people WHERE id = 3")
    first, second = (reconcile(people.pipeline, people.connections) for _ in range(2))
    assert first.sinks == {"toy": Difference(live=2, missing=0, older=0, deleted=1)}
    assert second.sinks == {"toy": Difference(live=2, missing=0, older=0, deleted=0)}
    assert names(toy) == ["Ann", "Bob"]
    assert names(toy, deleted=True) == (["Cid"] if deletes == "soft" else [])


def test_rows_that_the_sink_lost_are_reported(people, toy):
    """A reconcile names the sink, and a full refresh repairs it."""
    people.run()
    with toy._transaction() as db:
        db.execute("DELETE FROM rows WHERE key = '[2]'")
    report = reconcile(people.pipeline, people.connections)
    with pytest.raises(ContractBroken, match="toy lacks 1 of the source's rows"):
        check_nothing_lost(report)
    people.run(mode=Mode.REFRESH)
    assert held(toy) == source(people)


def test_values_that_no_sink_can_show_are_not_called_equal(people, toy):
    """`--values` is refused, before anything is deleted; without it the daily reconcile goes on with keys."""
    people.pipeline = people.pipeline.model_copy(update={"gold": None, "silver": None})
    people.run()
    people.sql("DELETE FROM people WHERE id = 1")
    with pytest.raises(SettingError, match=r"none of its sinks \(toy\) has read_rows"):
        reconcile(people.pipeline, people.connections, values=True)
    assert 1 in {row["id"] for row in toy.rows().values()}
    assert reconcile(people.pipeline, people.connections).sinks["toy"].deleted == 1


def test_the_sink_is_maintained_and_old_batches_are_deleted(people, toy):
    """Maintenance calls the sink, and deletes the staged batches that it no longer needs."""
    first = people.run().batch_id
    people.sql("INSERT INTO people (name) VALUES ('Dee')")
    newest = people.run().batch_id
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    done = maintain(people.pipeline, people.connections, retention({}, in_a_year))
    assert done == "one: toy: 1 file vacuumed; 1 staged batches deleted"
    assert read_window(people.connections.lake, "one", newest).batch_id == newest
    with pytest.raises(SettingError, match=f"no batch {first} of one is staged"):
        read_window(people.connections.lake, "one", first)
    assert held(toy) == source(people)
