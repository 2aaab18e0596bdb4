"""The watermark is a hint and the sinks are the truth: runs repair whichever of them is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.medallion.config.sections.tables import Silver
from include.medallion.errors import SinkBehind
from include.medallion.lake.object_store import filesystem
from include.medallion.steps.open_window import open_window
from include.medallion.steps.watermark import advanced, corrected
from tests.integration.one_table import OneTable


class Runs:
    """A table, and its runs one after another with the remembered positions between them, as in the DAG."""

    def __init__(self, one):
        self.one, self.remembered, self.asked, self.first = one, {}, 0, None
        one.sql("CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)")

    def insert(self, key):
        """Add a row."""
        self.one.sql(f"INSERT INTO people VALUES ({key}, 'n{key}', '98052')")

    def run(self):
        """Bring one batch to both sinks; return its summary, None if nothing is new."""
        window = self._begin()
        if not self.one.stage(window):
            return None
        self.first = self.first or window
        for sink in self.one.pipeline.sink_steps:
            self._apply(window, sink)
        summary = self.one.commit(window)
        self.remembered = advanced(self.remembered, window, self.one.pipeline.sink_steps)
        return summary

    def _begin(self):
        """Open a window, and count the connections to Silver that this takes."""
        plain = self.one.connections

        def connect():
            self.asked += 1
            return plain.silver()

        return open_window(self.one.pipeline, replace(plain, silver=connect), remembered=self.remembered)

    def _apply(self, window, sink):
        try:
            self.one.apply(window, sink)
        except SinkBehind as e:
            self.remembered = corrected(self.remembered, sink, e.held)
            raise

    def silver(self, *statements):
        """Change Silver behind our back."""
        with self.one.account.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def delete_gold(self):
        """Delete Gold behind our back."""
        lake = self.one.connections.lake
        filesystem(lake).delete_dir(lake.path(self.one.pipeline.gold.table))

    def check(self, *keys):
        """Assert that both sinks hold these rows, once, with equal values."""
        assert [row["id"] for row in self.one.gold()] == list(keys)
        assert self.one.silver() == self.one.gold()


@pytest.fixture
def runs(bronze_dsn, lake_uri, lake, silver):
    """Lend a table after two batches: row 1, then row 2."""
    runs = Runs(OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"}))
    for key in (1, 2):
        runs.insert(key)
        runs.last = runs.run()
    return runs


def test_silver_is_asked_once_only(runs):
    """Only the first run, without a hint, reads the ledger before it opens a window."""
    assert runs.asked == 1
    runs.check(1, 2)


def test_a_lost_hint_applies_nothing_again(runs):
    """Silver is asked instead, and the next run reads what is new and no more."""
    runs.remembered = {}
    assert runs.run() is None
    runs.insert(3)
    assert runs.run().read == 1
    assert runs.asked == 3
    runs.check(1, 2, 3)


def test_a_hint_older_than_the_sinks_doubles_nothing(runs):
    """Rows since the old hint are read and applied again; the sinks end as if they had not been."""
    runs.remembered = corrected(runs.remembered, "silver", None)
    runs.insert(3)
    summary = runs.run()
    assert (summary.read, summary.sinks["silver"].inserted, summary.sinks["silver"].updated) == (3, 1, 2)
    runs.check(1, 2, 3)


def test_silver_restored_to_an_older_state_is_found_and_repaired(runs):
    """The run after a restore is refused and corrects the hint; the next one brings what Silver lost."""
    batch = runs.last.batch_id
    runs.silver(
        f"DELETE FROM ONE WHERE _BATCH_ID = {batch}", f"DELETE FROM _MEDALLION_BATCHES WHERE BATCH_ID = {batch}"
    )
    runs.insert(3)
    with pytest.raises(SinkBehind):
        runs.run()
    assert [row["id"] for row in runs.one.gold()] == [1, 2]
    summary = runs.run()
    assert (summary.read, summary.sinks["silver"].inserted, summary.sinks["gold"].inserted) == (2, 2, 1)
    runs.check(1, 2, 3)


def test_an_emptied_silver_is_refilled(runs):
    """Silver dropped altogether is filled again from the start; Gold doubles nothing."""
    runs.silver("DROP TABLE ONE", "DROP TABLE _MEDALLION_BATCHES")
    runs.insert(3)
    with pytest.raises(SinkBehind):
        runs.run()
    assert runs.run().sinks["silver"].inserted == 3
    runs.check(1, 2, 3)


def test_a_silver_table_that_was_dropped_alone_is_refilled(runs):
    """The ledger that outlived its table is not believed: the table is filled again from the start."""
    runs.silver("DROP TABLE ONE")
    runs.insert(3)
    with pytest.raises(SinkBehind):
        runs.run()
    assert runs.run().sinks["silver"].inserted == 3
    runs.check(1, 2, 3)


def test_a_batch_replayed_into_a_table_that_was_dropped_hides_nothing(runs):
    """The first batch creates the table again and is in it; later rows are read again."""
    runs.silver("DROP TABLE ONE")
    assert not runs.one.apply(runs.first, "silver").replayed
    runs.remembered = {}
    assert runs.run().sinks["silver"].inserted == 1
    runs.check(1, 2)


def test_another_silver_table_is_filled_from_the_start(runs):
    """A pipeline file that names another table brings all rows there, though the ledger knows the pipeline."""
    runs.one.pipeline = runs.one.pipeline.model_copy(update={"silver": Silver(table="OTHER")})
    runs.remembered = {}
    assert runs.run().sinks["silver"].inserted == 2
    runs.check(1, 2)
    assert runs.run() is None


def test_a_deleted_gold_is_refilled_though_nothing_is_new(runs):
    """Gold's log is read at every run: the window starts from zero, Silver doubles nothing."""
    runs.delete_gold()
    summary = runs.run()
    assert (summary.after, summary.sinks["gold"].inserted, summary.sinks["silver"].inserted) == (0, 2, 0)
    runs.check(1, 2)
    assert runs.run() is None


@pytest.mark.parametrize("hint_lost", [True, False])
def test_both_sinks_lost_are_refilled(runs, hint_lost):
    """With nothing left in either, one run brings all rows to both."""
    runs.silver("DROP TABLE ONE", "DROP TABLE _MEDALLION_BATCHES")
    runs.delete_gold()
    runs.remembered = {} if hint_lost else runs.remembered
    assert runs.run().read == 2
    runs.check(1, 2)
    assert runs.run() is None
