"""What `make run` prints of a run, from the summary that the run returned."""

from __future__ import annotations

from pydantic import TypeAdapter

from include.medallion.model.counts import Applied
from include.medallion.staging.parts import LookupCounts
from include.medallion.steps.summary.row_counts import RunSummary
from include.sandbox import summary

APPLIED = Applied(1200, 1000, 150, 50, version=3)
LOOKUPS = LookupCounts(rows=1200, keys=900, cached=400, calls=500, cost_usd=2.5)


def printed(sinks, lookups=LOOKUPS, quarantined=0, lag=0):
    """Return the lines about a run, whose summary comes through JSON as XCom gives it back."""
    done = RunSummary("one", 20260101000000000, "window", 1, 9, lag, 1200, quarantined, 0, sinks, lookups)
    return list(summary.work(TypeAdapter(RunSummary).dump_python(done, mode="json")))


def test_each_sink_has_a_line_with_its_counts():
    """Also a sink that the user wrote; one that held the batch already says so."""
    lines = printed({"silver": APPLIED, "gold": Applied.replay(1200), "toy": APPLIED})
    assert lines[:4] == [
        "  this run  batch 20260101000000000, rows read 1,200",
        "  silver    inserted 1,000, updated 150, superseded 50",
        "  gold      held the batch already",
        "  toy       inserted 1,000, updated 150, superseded 50",
    ]


def test_deleted_and_withdrawn_rows_are_counted_where_there_are_any():
    """A run that reads the log deletes rows; a version that is quarantined withdraws the older one."""
    lines = printed({"gold": Applied(1200, 1000, 150, 48, deleted=2, withdrawn=1)})
    assert lines[1] == "  gold      inserted 1,000, updated 150, deleted 2, withdrawn 1, superseded 48"


def test_saved_calls_are_counted():
    """Rows that share a key, and keys that the cache had, cost no call."""
    assert printed({"gold": APPLIED})[-1] == (
        "  look-ups  keys 900, cached 400, calls 500 (2.50 USD); calls saved: 300 by de-duplication, 400 by the cache"
    )


def test_a_pipeline_without_enrichment_has_no_line_of_look_ups():
    """Nothing is printed of what the pipeline does not have."""
    lines = printed({"silver": APPLIED}, LookupCounts())
    assert [line.split()[0] for line in lines] == ["this", "silver"]


def test_quarantined_rows_and_a_lag_are_mentioned():
    """A run that set rows aside, or that waits for an open transaction, says so."""
    lines = printed({"silver": APPLIED}, LookupCounts(), quarantined=7, lag=2)
    assert "quarantined 7" in lines[1]
    assert lines[-1].startswith("  2 transactions are held back")
