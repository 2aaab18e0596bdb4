"""Maintenance deletes what nothing needs, changes no row, and gives way to writers."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import fs

from include.medallion.errors import SettingError
from include.medallion.lake import delta, delta_maintenance
from include.medallion.lake.object_store import filesystem, write_bytes
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.columns import TIMESTAMP_UTC
from include.medallion.model.retention import Retention
from include.medallion.model.window import Position
from include.medallion.ops import comparison, maintenance
from include.medallion.staging import archive
from include.medallion.staging.records.source_keys import begin_deletes, finish_reconcile
from include.medallion.steps.sinks import open_sinks
from tests.integration.kill_points_maintenance import kill_maintenance
from tests.integration.one_table import OneTable

DDL = "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)"
INSERT = "INSERT INTO people SELECT n, 'name ' || n, '98052' FROM generate_series({}, {}) AS n"
AGES = timedelta(days=365)
NOW = datetime.now(UTC)
KEEP = Retention(NOW, timedelta(days=30), timedelta(days=7))


class Table(OneTable):
    """A table and the ways to look at what its runs left."""

    def maintain(self, later=timedelta(0), versions=timedelta(days=7)):
        """Run the maintenance of tonight, or of a later night; return its line of counts."""
        keep = Retention(datetime.now(UTC) + later, timedelta(days=30), versions)
        return maintenance.maintain(self.pipeline, self.connections, keep)

    def maintain_gold(self, versions=timedelta(days=7)):
        """Maintain Gold alone; return what was done."""
        return delta_maintenance.maintain(self.connections.lake, "one", versions, self.pipeline.source.key)

    def delta(self):
        """Open Gold."""
        return self.open("one")

    def ledger(self):
        """Return the batches that Silver's ledger names."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            return [row[0] for row in cursor.execute("SELECT BATCH_ID FROM _MEDALLION_BATCHES ORDER BY 1").fetchall()]

    def silver_tables(self):
        """Return the names of Silver's tables of our own."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            return sorted(r[1] for r in cursor.execute("SHOW TERSE TABLES LIKE '_MEDALLION_%'").fetchall())

    def batches(self):
        """Return the ids of the staged batches."""
        return archive.batch_ids(self.connections.lake, "one")

    def files(self):
        """Return the names of Gold's data files that are there, needed or not."""
        lake = self.connections.lake
        found = filesystem(lake).get_file_info(fs.FileSelector(lake.path("one")))
        return {f.base_name for f in found if f.base_name.endswith(".parquet")}


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend an empty table of people."""
    table = Table(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    table.sql(DDL)
    return table


@pytest.fixture
def people(table):
    """Lend the table once its people have arrived in three batches."""
    return arrived(table)


@pytest.fixture
def in_gold(table):
    """Lend the table once its people have arrived in three batches, in Gold alone: for what concerns no other layer."""
    table.set(silver=None, enrich=[])
    return arrived(table)


def arrived(table):
    """Bring three batches of ten people each."""
    for n in range(3):
        table.sql(INSERT.format(10 * n + 1, 10 * n + 10))
        table.run()
    return table


def test_no_row_changes_and_the_sinks_still_know_their_batch(people):
    """All rows are as before in both sinks, and the next run finds nothing new, brings what is, and replays nothing."""
    gold, silver = people.gold(), people.silver()
    people.maintain(AGES)
    assert (people.gold(), people.silver()) == (gold, silver)
    assert people.run() is None
    people.sql(INSERT.format(31, 32))
    assert (people.run().read, len(people.gold())) == (2, 32)


def test_small_files_are_joined_once(in_gold):
    """Three small files become one; a second maintenance makes no commit at all."""
    assert "gold: 3 files, now 1 (compacted)," in in_gold.maintain()
    version = in_gold.delta().version()
    assert "gold: 1 files, now 1 (compacted)," in in_gold.maintain()
    assert in_gold.delta().version() == version


def test_gold_is_sorted_when_a_key_can_be_in_many_files(in_gold, monkeypatch):
    """Files whose ranges of keys overlap are sorted into ranges of their own; after that nothing is left to sort."""
    for rest in range(3):
        in_gold.sql(f"UPDATE people SET name = name || '!' WHERE id % 3 = {rest}")
        in_gold.run()
    monkeypatch.setattr(delta_maintenance, "MAX_OVERLAP", 0.5)
    before = in_gold.gold()
    assert in_gold.maintain_gold().sorted
    assert delta_maintenance.overlap(in_gold.delta(), ["id"]) == 1
    assert in_gold.gold() == before


def test_a_table_too_large_to_sort_is_compacted(in_gold, monkeypatch):
    """Beyond what one worker can sort, small files are joined all the same."""
    monkeypatch.setattr(delta_maintenance, "MAX_OVERLAP", 0.5)
    monkeypatch.setattr(delta_maintenance, "MAX_SORT_BYTES", 1)
    done = in_gold.maintain_gold()
    assert (done.sorted, done.files) == (False, 1)


def test_overlap_counts_the_files_that_a_key_can_be_in(in_gold):
    """Batches of keys side by side overlap nowhere; one over all of them is in the way of each."""
    assert delta_maintenance.overlap(in_gold.delta(), ["id"]) == 1
    whole = in_gold.delta().to_pyarrow_table()
    write_deltalake(in_gold.delta(), whole, mode="append")
    assert delta_maintenance.overlap(in_gold.delta(), ["id"]) == (2 + 2 + 2 + 2) / 4


def test_a_table_without_bounds_is_only_compacted(in_gold):
    """Of a key whose bounds the log does not hold, a name for example, no order is known."""
    assert delta_maintenance.overlap(in_gold.delta(), ["name"]) == 0


def test_the_log_keeps_no_more_statistics_than_before(people):
    """What maintenance writes has bounds of the same columns: no person's data comes into the log."""
    people.maintain(AGES)
    people.delta().create_checkpoint()
    columns = people.delta().get_add_actions(flatten=True).schema.names
    assert {c for c in columns if c.startswith(("min.", "max."))} == {
        *("min.id", "max.id", "min._version", "max._version", "min._batch_id", "max._batch_id")
    }


def test_files_of_old_versions_are_deleted_and_young_ones_kept(in_gold, monkeypatch):
    """What only versions older than the retention need is deleted; until then every version can be read."""
    first = in_gold.delta().version() - 2
    assert in_gold.maintain_gold().deleted == 0
    lake = in_gold.connections.lake
    old = DeltaTable(lake.table("one"), version=first, storage_options=dict(lake.options))
    assert old.to_pyarrow_table().num_rows == 10
    assert delta_maintenance.maintain(lake, "one", timedelta(0)).deleted == 3
    assert in_gold.files() == {uri.rpartition("/")[2] for uri in in_gold.delta().file_uris()}
    assert delta_maintenance.maintain(lake, "one", timedelta(0)).deleted == 0
    assert len(in_gold.gold()) == 30


def test_a_file_that_a_killed_writer_left_is_deleted_when_it_is_old(in_gold):
    """A data file that no commit names goes with the old ones."""
    lake = in_gold.connections.lake
    files, name = filesystem(lake), "part-00000-left.parquet"
    with files.open_output_stream(lake.path(f"one/{name}")) as out:
        out.write(b"half a file")
    delta_maintenance.maintain(lake, "one", timedelta(days=1))
    assert name in in_gold.files()
    delta_maintenance.maintain(lake, "one", timedelta(0))
    assert name not in in_gold.files()


def test_the_log_is_summed_up_when_it_is_long(people, monkeypatch):
    """After enough commits there is a checkpoint, and the table still records which batch it holds."""
    monkeypatch.setattr(delta, "COMMITS_PER_CHECKPOINT", 3)
    newest = people.ledger()[-1]
    assert people.maintain_gold().checkpoint
    assert people.delta().transaction_version("medallion/one") == newest
    assert not people.maintain_gold().checkpoint


def test_batches_write_checkpoints_without_maintenance(table, monkeypatch):
    """Every few commits; a table of an earlier version, which has no such property, gets it."""
    monkeypatch.setattr(delta, "CHECKPOINT_INTERVAL", {})
    table.sql("INSERT INTO people VALUES (1, 'Ann')")
    table.run()
    monkeypatch.setattr(delta, "CHECKPOINT_INTERVAL", {"delta.checkpointInterval": "3"})
    for n in range(5):
        table.sql(f"UPDATE people SET name = 'Ann {n}'")
        table.run()
    lake = table.connections.lake
    log = filesystem(lake).get_file_info(fs.FileSelector(lake.path("one/_delta_log")))
    assert any(file.base_name.endswith(".checkpoint.parquet") for file in log)


def test_old_batches_leave_the_archive_but_not_the_newest(people):
    """Batches older than the retention are deleted, except the one that the sinks stand at."""
    batches = people.batches()
    assert people.maintain().endswith("; 0 staged batches deleted")
    assert people.maintain(AGES).endswith("; 2 staged batches deleted")
    assert people.batches() == batches[-1:]


def test_a_batch_that_a_sink_does_not_hold_stays_whatever_its_age(people):
    """Nothing is deleted from the newest batch on of the sink that is furthest behind; nothing if one holds nothing."""
    lake, batches = people.connections.lake, people.batches()
    behind, ahead = (Position("source", 1, batch) for batch in (batches[1], batches[2]))
    far = new_batch_id(datetime.now(UTC) + AGES, 0)
    assert maintenance.delete_old_batches(lake, "one", [ahead, None], far) == 0
    assert maintenance.delete_old_batches(lake, "one", [ahead, behind], far) == 1
    assert people.batches() == batches[1:]


def test_a_reconcile_that_is_not_finished_keeps_its_keys(people):
    """What a reconcile staged stays until it is finished."""
    sinks = open_sinks(people.pipeline, people.connections)
    keys = comparison.stage_keys(people.pipeline, people.connections, sinks)
    begin_deletes(people.connections.lake, keys)
    people.sql(INSERT.format(31, 31))
    people.run()
    people.maintain(AGES)
    assert keys.window.batch_id in people.batches()
    finish_reconcile(people.connections.lake, keys)
    people.maintain(AGES)
    assert keys.window.batch_id not in people.batches()


def test_the_ledger_keeps_its_newest_row_whatever_its_age(people):
    """Old rows go; the one that says what the table holds stays, and so does another pipeline's."""
    newest = people.ledger()[-1]
    with people.account.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO _MEDALLION_BATCHES SELECT 'other', 1, MODE, SOURCE, 1, 1, 1, 1, 1, 1, APPLIED_AT, SCHEMA_ID, "
            f"TABLE_BATCH_ID FROM _MEDALLION_BATCHES WHERE BATCH_ID = {newest}"
        )
    assert "silver: 0 ledger rows deleted;" in people.maintain()
    assert "silver: 2 ledger rows deleted;" in people.maintain(AGES)
    assert people.ledger() == [1, newest]


def test_tables_of_killed_tries_are_dropped_after_a_day(people):
    """What a try of an older batch left is dropped, of a reconcile too; a young one stays: its try may be at work."""
    hexes, newest = "0" * 32, people.ledger()[-1]
    names = [f"_MEDALLION_ONE_20250101000000000_{hexes}", f"_MEDALLION_ONE_20250101000000000_{hexes}_KEYS"]
    young = f"_MEDALLION_ONE_{newest}_{hexes}"
    with people.account.connect() as connection, connection.cursor() as cursor:
        for name in (*names, young):
            cursor.execute(f"CREATE TRANSIENT TABLE {name} (ID BIGINT)")
    people.maintain()
    assert people.silver_tables() == sorted(["_MEDALLION_BATCHES", young])


def test_shared_tables_are_maintained_and_foreign_ones_left_alone(people):
    """Caches are compacted; other tables in the lake are not touched."""
    lake = people.connections.lake
    rows = _expiring(people.delta().to_pyarrow_table(), NOW + timedelta(days=1))
    for name in ("lookups_mine", "foreign"):
        for _ in range(3):
            write_deltalake(lake.table(name), rows, mode="append", storage_options=dict(lake.options))
    write_bytes(lake, "notes/about.json", b"{}")
    done = maintenance.maintain_shared(lake, KEEP)
    assert [line.partition(" (")[0] for line in done] == ["lookups_mine: 3 files, now 1"]
    assert len(people.open("foreign").file_uris()) == 3


def test_answers_that_are_too_old_leave_the_caches(people):
    """What may not be kept any longer is deleted, of every provider; what may stays."""
    lake = people.connections.lake
    rows = people.delta().to_pyarrow_table().slice(0, 1)
    for moment in (NOW - timedelta(seconds=1), NOW + timedelta(days=1)):
        write_deltalake(
            lake.table("lookups_mine"), _expiring(rows, moment), mode="append", storage_options=dict(lake.options)
        )
    maintenance.maintain_shared(lake, KEEP)
    assert people.open("lookups_mine").to_pyarrow_table()["expires_at"].to_pylist() == [NOW + timedelta(days=1)]


def _expiring(rows: pa.Table, moment: datetime) -> pa.Table:
    return rows.append_column("expires_at", pa.repeat(pa.scalar(moment, TIMESTAMP_UTC), rows.num_rows))


def test_a_writer_that_is_quicker_wins(in_gold, monkeypatch):
    """A commit of maintenance that conflicts with a writer's is given up; the writer's rows are there."""
    compact = delta_maintenance._optimize

    def overtaken(table, key):
        in_gold.sql("UPDATE people SET name = 'new'")
        in_gold.run()
        return compact(table, key)

    monkeypatch.setattr(delta_maintenance, "_optimize", overtaken)
    assert "gave way to a writer" in in_gold.maintain()
    assert {row["name"] for row in in_gold.gold()} == {"new"}


def test_writers_and_maintenance_at_the_same_time_lose_and_double_nothing(people):
    """While batches arrive, maintenance runs again and again: source, Silver and Gold end equal."""
    with ThreadPoolExecutor() as pool:
        maintained = pool.submit(lambda: [people.maintain() for _ in range(4)])
        for n in range(4):
            people.sql(f"UPDATE people SET name = 'round {n}' WHERE id % 2 = {n % 2}", INSERT.format(31 + n, 31 + n))
            people.run()
        assert len(maintained.result()) == 4
    people.run()
    source = people.sql("SELECT id, name, xmin::text::bigint FROM people ORDER BY id::text")
    assert [(r["id"], r["name"], r["_version"]) for r in people.gold()] == source
    assert people.silver() == people.gold()


def test_the_command_maintains_and_prints_what_it_did(people, tmp_path):
    """`maintain` does the same in a shell, and says so in one line."""
    done = people.shell(tmp_path, "maintain", "one")
    line = (
        "one: silver: 0 ledger rows deleted; gold: 3 files, now 1 (compacted), 0 old ones deleted; "
        "0 staged batches deleted\n"
    )
    assert (done.returncode, done.stdout) == (0, line), done.stderr


@pytest.mark.parametrize("value", ["0.5", "0", "-3", "a week", "nan"])
def test_a_retention_that_could_hurt_a_task_at_work_is_refused(value):
    """Less than a day, or no number, is named with its setting."""
    with pytest.raises(SettingError, match="MEDALLION_STAGING_DAYS must be a number of days"):
        maintenance.retention({"MEDALLION_STAGING_DAYS": value}, NOW)


def test_retention_has_defaults():
    """Thirty days of archive, seven of versions."""
    assert maintenance.retention({"MEDALLION_STAGING_DAYS": ""}, NOW) == KEEP


POINTS = [
    ("during", "deltalake.table", "TableOptimizer.compact"),
    ("after", "deltalake.table", "TableOptimizer.compact"),
    ("during", "deltalake.table", "DeltaTable.vacuum"),
    ("after", "include.medallion.lake.delta_maintenance", "_vacuum"),
    ("during", "deltalake.table", "DeltaTable.create_checkpoint"),
    ("after", "include.medallion.silver.sink", "drop_orphans"),
    ("after", "include.medallion.silver.sink", "prune"),
    ("before", "include.medallion.ops.maintenance", "batch_ids"),
    ("after", "include.medallion.ops.maintenance", "batch_folder"),
]


def test_killed_at_any_point_it_has_changed_no_row_and_the_next_one_ends_the_work(people, tmp_path):
    """After each kill all rows are there in both sinks and a run goes on; a maintenance that lives leaves nothing."""
    for n, point in enumerate(POINTS):
        people.sql(INSERT.format(31 + n, 31 + n), f"UPDATE people SET name = 'after kill {n}' WHERE id <= 10")
        people.run()
        assert kill_maintenance(people.environ(tmp_path), "one", *point) == -signal.SIGKILL, point
        source = people.sql("SELECT id, name FROM people ORDER BY id::text")
        assert [(r["id"], r["name"]) for r in people.gold()] == source, point
        assert people.silver() == people.gold(), point
    people.maintain(AGES, versions=timedelta(0))
    assert people.files() == {uri.rpartition("/")[2] for uri in people.delta().file_uris()}
    assert (len(people.batches()), len(people.ledger())) == (1, 1)
    assert people.run() is None
