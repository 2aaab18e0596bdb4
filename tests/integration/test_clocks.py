"""Clocks that are wrong: a batch that a wrong clock would name is refused, and no id is ever given twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.medallion.errors import ClockSkew
from include.medallion.lake.object_store import delete_files, write_bytes
from include.medallion.model.window import Mode, SourceSnapshot, new_batch_id, plan_window
from include.medallion.ops import comparison, reconcile
from include.medallion.staging.records.used_ids import newest_id, record_id
from include.medallion.steps import open_window
from tests.integration.fake_google import FIVE, insert, paid, set_geocode, statuses
from tests.integration.one_table import OneTable

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
AHEAD = timedelta(days=40)


def clock(ahead):
    """Return `datetime` of a machine whose clock is wrong."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + ahead

    return Wrong


@pytest.fixture
def rows(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of two rows."""
    rows = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    rows.sql("CREATE TABLE people (id int PRIMARY KEY, postcode text)", "INSERT INTO people VALUES (1), (2)")
    return rows


@pytest.mark.parametrize("minutes", [-11, 11, 40 * 1440])
def test_clocks_that_are_far_apart_are_refused(minutes):
    """The message names both times."""
    snapshot = SourceSnapshot("s", 10, 10, NOW)
    with pytest.raises(ClockSkew, match=r"this worker's clock says .* UTC, that of the source 2026-05-04 12:00:00 UTC"):
        plan_window("one", snapshot, [None], NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-9, 0, 9])
def test_clocks_that_are_close_are_accepted(minutes):
    """Nothing keeps clocks together to the millisecond."""
    assert plan_window("one", SourceSnapshot("s", 10, 10, NOW), [None], NOW + timedelta(minutes=minutes))


def test_an_id_that_the_sinks_hold_is_no_reason_to_refuse():
    """One batch of the past with an id of the future must not stop the pipeline until then."""
    ahead = new_batch_id(NOW + AHEAD, 0)
    window = plan_window("one", SourceSnapshot("s", 10, 10, NOW), [None], NOW, newest_id=ahead)
    assert window.batch_id > ahead


@pytest.mark.parametrize("ahead", [AHEAD, -AHEAD])
def test_a_worker_with_a_wrong_clock_opens_no_window(rows, monkeypatch, ahead):
    """Postgres is asked for its time together with the horizon."""
    monkeypatch.setattr(open_window, "datetime", clock(ahead))
    with pytest.raises(ClockSkew):
        rows.run()
    monkeypatch.setattr(open_window, "datetime", datetime)
    assert rows.run().read == 2


def test_a_worker_with_a_wrong_clock_does_not_reconcile(rows, monkeypatch):
    """Its id would be the time of deletes."""
    rows.run()
    monkeypatch.setattr(comparison, "datetime", clock(AHEAD))
    with pytest.raises(ClockSkew):
        reconcile.reconcile(rows.pipeline, rows.connections)


@pytest.mark.parametrize("mode", [Mode.TRIAL, Mode.QUARANTINE, Mode.LOOKUPS, Mode.REFRESH, Mode.WINDOW])
def test_every_batch_id_counts_as_used(rows, monkeypatch, mode):
    """Also of a batch that advances no watermark, on a worker whose clock is a little ahead."""
    rows.run()
    monkeypatch.setattr(open_window, "datetime", clock(timedelta(minutes=9)))
    early = rows.begin(mode=mode, max_rows=1 if mode is Mode.TRIAL else None)
    monkeypatch.setattr(open_window, "datetime", datetime)
    assert rows.begin().batch_id > early.batch_id


def test_the_id_of_a_reconcile_counts_as_used(rows, monkeypatch):
    """It stages keys below the same folder."""
    rows.run()
    monkeypatch.setattr(comparison, "datetime", clock(timedelta(minutes=9)))
    report = reconcile.reconcile(rows.pipeline, rows.connections)
    assert rows.begin().batch_id > report.batch_id


@pytest.mark.parametrize("content", [None, b"{damaged"])
def test_a_lost_record_of_ids_is_made_from_the_archive(rows, content):
    """All batches that staged something are there."""
    summary, lake = rows.run(), rows.connections.lake
    delete_files(lake, ["_staging/one/_newest.json"])
    if content:
        write_bytes(lake, "_staging/one/_newest.json", content)
    assert newest_id(lake, "one") == summary.batch_id
    record_id(lake, "one", summary.batch_id + 5)
    record_id(lake, "one", summary.batch_id + 3)
    assert newest_id(lake, "one") == summary.batch_id + 5


def test_ages_are_counted_in_real_time(people, google):
    """After a batch with an id 40 days ahead nothing is too old: a refresh finds nothing due, and asks for nothing."""
    set_geocode(people)
    record_id(people.connections.lake, "one", new_batch_id(datetime.now(UTC) + AHEAD, 0))
    insert(people, *FIVE)
    assert people.run().batch_id > new_batch_id(datetime.now(UTC) + AHEAD - timedelta(hours=1), 0)
    set_geocode(people, max_calls_per_run=2)
    assert people.run(mode=Mode.LOOKUPS) is None
    assert statuses(people) == dict.fromkeys(FIVE, ("OK", True, True))
    assert paid(google) == dict.fromkeys(FIVE, 1)
