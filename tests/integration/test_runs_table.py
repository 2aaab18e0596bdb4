"""Runs and reconciles are recorded in a Delta table that maintenance bounds; the page reads it and samples of Gold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.counts import Applied
from include.medallion.model.differences import Difference, Report
from include.medallion.model.retention import Retention
from include.medallion.ops.maintenance import maintain_shared
from include.medallion.page.rows import MAX_CELLS, density, preview
from include.medallion.page.snapshot import read_snapshot
from include.medallion.runs.record import record_reconcile, record_run
from include.medallion.staging.parts import LookupCounts
from include.medallion.steps.summary.row_counts import RunSummary

NOW = datetime.now(UTC)
APPLIED = Applied(10, 8, 2, 0)
LOOKUPS = LookupCounts(rows=10, keys=5, cached=1, calls=4, cost_usd=0.02, statuses={"OK": 3, "ZERO_RESULTS": 2})
PEOPLE = Pipeline.model_validate(
    {
        "name": "people",
        "source": {"table": "people", "key": "id"},
        "enrich": {"geocode": {"postcode": "postcode", "country": "US", "prefix": "home_"}},
        "columns": {"mask": {"email": "sha256"}},
        "gold": {"table": "people"},
    }
)


@pytest.fixture
def store(lake, lake_uri):
    """Open an empty lake."""
    return open_lake(lake_uri, lake.options)


def summary(pipeline="people", at=NOW, read=10) -> RunSummary:
    """Return the summary of a run whose window was opened at some time."""
    return RunSummary(pipeline, new_batch_id(at, 0), "window", 1, 90, 3, read, 0, 0, {"gold": APPLIED}, LOOKUPS)


def recorded(store) -> list[dict]:
    """Return what the page reads of the runs."""
    return read_snapshot(store, None).runs.to_pylist()


def test_a_run_is_one_row(store):
    """Its counts, its window and Airflow's id of it are there."""
    record_run(store, summary(), "manual__1")
    (row,) = recorded(store)
    expected = {
        "pipeline": "people",
        "run_id": "manual__1",
        "kind": "window",
        "read": 10,
        "lag": 3,
        "after": 1,
        "upto": 90,
    }
    looked_up = {"keys": 5, "cached": 1, "calls": 4, "spend_usd": 0.02, "resolved": 3, "unresolved": 2}
    assert {name: row[name] for name in expected | looked_up} == expected | looked_up
    assert row["started_at"] <= row["ended_at"]


def test_a_reconcile_is_one_row(store):
    """It has the rows of the source and of each sink."""
    record_reconcile(store, Report("people", new_batch_id(NOW, 0), 100, 1, {"gold": Difference(99, 0, 0, 0, 2)}))
    (row,) = recorded(store)
    assert (row["kind"], row["read"], row["quarantined"]) == ("reconcile", 100, 1)
    assert '"live": 99' in row["sinks"]


def test_a_repeated_run_is_shown_once(store):
    """A task that is repeated records its batch again; the later record counts."""
    record_run(store, summary(read=10))
    record_run(store, summary(read=11))
    assert [row["read"] for row in recorded(store)] == [11]


def test_runs_that_end_together_are_all_recorded(store):
    """Eight tasks append at the same time, also to a table that does not exist yet."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record_run(store, summary(f"p{n}")), range(8)))
    assert sorted(row["pipeline"] for row in recorded(store)) == [f"p{n}" for n in range(8)]


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(store):
    """Runs that were recorded before have no position of the log; those of now have one."""
    record_run(store, summary(at=NOW - timedelta(hours=1)))
    rows = read_snapshot(store, None).runs.drop_columns(["log_position"])
    write_deltalake(
        store.table("runs"), rows, mode="overwrite", schema_mode="overwrite", storage_options=dict(store.options)
    )
    record_run(store, replace(summary(), log_position=25))
    assert [row["log_position"] for row in recorded(store)] == [None, 25]


def test_a_record_that_cannot_be_written_fails_nothing(store, caplog):
    """The run has loaded its rows: a lake that refuses the record is a warning."""
    wrong = pa.table({"sinks": [1]})
    write_deltalake(store.table("runs"), wrong, storage_options=dict(store.options))
    record_run(store, summary())
    assert "was not recorded in the table runs" in caplog.text


def test_what_has_not_changed_is_not_read_again(store):
    """The same rows are returned as long as the table has the same version; a new run is seen."""
    record_run(store, summary())
    first = read_snapshot(store, None)
    second = read_snapshot(store, first)
    assert second.runs is first.runs
    record_run(store, summary("other"))
    assert len(read_snapshot(store, second).runs) == 2


def test_maintenance_deletes_old_records(store):
    """Rows older than MEDALLION_RUNS_DAYS go, the others stay."""
    for days in (1, 29, 31, 400):
        record_run(store, summary(f"p{days}", NOW - timedelta(days=days)))
    done = maintain_shared(store, Retention(NOW, timedelta(days=30), timedelta(days=7), timedelta(days=30)))
    assert sorted(row["pipeline"] for row in recorded(store)) == ["p1", "p29"]
    assert [line for line in done if line.startswith("runs:")]


@pytest.fixture
def gold(store):
    """Write a Gold table in several files: coordinates, a masked column, deleted rows, rows without a place."""
    kinds = {"home_latitude": pa.float64(), "home_longitude": pa.float64(), "_deleted_at": pa.timestamp("us", "UTC")}
    schema = pa.schema([("id", pa.int64()), ("email", pa.string()), ("pay", pa.float32()), *kinds.items()])
    for first in range(0, 40, 4):
        rows = [
            {"id": n, "email": "h", "pay": 35.38, "home_latitude": 10.0 + n / 10, "home_longitude": 20.0}
            for n in range(first, first + 4)
        ]
        rows[1]["home_latitude"] = rows[1]["home_longitude"] = None
        rows[2]["_deleted_at"] = NOW
        options = dict(store.options)
        write_deltalake(
            store.table("people"), pa.Table.from_pylist(rows, schema), mode="append", storage_options=options
        )


def test_the_map_samples_a_few_files(store, gold):
    """At most eight of ten files are read; deleted rows and those without a place are not counted."""
    found = density(store, PEOPLE)
    assert found["sampled"] == sum(count for _, _, count in found["cells"]) == 10
    assert len(found["cells"]) <= MAX_CELLS
    assert all(9.9 <= latitude <= 14 and longitude == 20.0 for latitude, longitude, _ in found["cells"])


def test_the_preview_leaves_masked_columns_and_deleted_rows_out(store, gold):
    """Twenty live rows at most, without the masked column."""
    found = preview(store, PEOPLE)
    assert "email" not in found["columns"]
    assert len(found["rows"]) == 20
    position = found["columns"].index("_deleted_at")
    assert {row[position] for row in found["rows"]} == {None}
    assert found["rows"][0][found["columns"].index("pay")] == "35.38"


def test_without_gold_there_is_nothing_to_show(store):
    """Before the first run the map and the preview are empty."""
    assert (density(store, PEOPLE)["cells"], preview(store, PEOPLE)["rows"]) == ([], [])
