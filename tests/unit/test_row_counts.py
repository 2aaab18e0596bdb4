"""Row accounting: a run whose rows are not all accounted for in every sink fails, and names the sink."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet import FileInfo
from include.medallion.model.counts import Applied
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts, StagedFile
from include.medallion.steps.summary.row_counts import check_row_counts, part_summary_line, summary_line

WINDOW = Window("one", "source", 500, 900, 20261122203059123, lag=7)
APPLIED = Applied(read=9, inserted=4, updated=3, superseded=2, version=5)
SINKS = {"silver": APPLIED, "gold": APPLIED}


def part(number, loaded, quarantined=0, unchanged=0, **lookups):
    """Return an enriched part of so many rows."""
    files = tuple(StagedFile("path", 0, FileInfo(rows, 1, "00000000")) for rows in (loaded, quarantined))
    read = loaded + quarantined + unchanged
    return EnrichedPart(number, (), read, files[:1], files[1:], LookupCounts(**lookups))


PARTS = [
    part(0, 5, 1, rows=5, keys=3, cached=1, calls=2, cost_usd=0.01, statuses={"OK": 3}),
    part(1, 4, 0, rows=4, keys=2, cached=2, statuses={"OK": 1, "ZERO_RESULTS": 1}),
]


def test_counts_of_parts_and_sinks_come_together_in_one_summary():
    """The summary sums up the parts, and holds what each sink did."""
    summary = check_row_counts(WINDOW, PARTS, SINKS)
    assert (summary.read, summary.quarantined, summary.unchanged, summary.lag_transactions) == (10, 1, 0, 7)
    assert summary.sinks == SINKS
    assert summary.lookups == LookupCounts(
        rows=9, keys=5, cached=3, calls=2, cost_usd=0.01, statuses={"OK": 4, "ZERO_RESULTS": 1}
    )


def test_rows_that_a_refresh_leaves_unchanged_are_accounted_for():
    """Rows of a look-up refresh that stay as they are reach no sink, and are no loss."""
    summary = check_row_counts(WINDOW, [part(0, 9, 0, unchanged=3)], SINKS)
    assert (summary.read, summary.unchanged) == (12, 3)


def test_a_replayed_sink_is_complete():
    """A sink that already holds the batch counts all its rows as superseded."""
    summary = check_row_counts(WINDOW, PARTS, {**SINKS, "silver": Applied.replay(9)})
    assert summary.sinks["silver"].replayed


@pytest.mark.parametrize("sink", ["silver", "gold"])
@pytest.mark.parametrize("count", ["inserted", "updated", "superseded", "read"])
def test_a_row_that_is_missing_in_a_sink_is_an_error_that_names_it(sink, count):
    """One row less in any count of any sink stops the run before the watermark is advanced."""
    short = replace(APPLIED, **{count: getattr(APPLIED, count) - 1})
    message = rf"{WINDOW.batch_id} do not match; watermark not advanced: {sink}: 10 rows read"
    with pytest.raises(ContractBroken, match=message):
        check_row_counts(WINDOW, PARTS, {**SINKS, sink: short})


def test_all_sinks_that_lack_rows_are_named():
    """One message names every sink that is incomplete."""
    short = replace(APPLIED, inserted=0)
    with pytest.raises(ContractBroken, match=r"silver.*gold"):
        check_row_counts(WINDOW, PARTS, {"silver": short, "gold": short})


@given(
    loaded=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    bad=st.integers(0, 9),
    counts=st.tuples(*[st.integers(0, 30)] * 3),
)
def test_only_complete_counts_pass(loaded, bad, counts):
    """A run passes exactly if a sink accounts for every row that was read and not quarantined."""
    parts = [part(number, rows) for number, rows in enumerate(loaded)] + [part(len(loaded), 0, bad)]
    applied = Applied(sum(loaded), *counts)
    try:
        passed = check_row_counts(WINDOW, parts, {"any": applied}) is not None
    except ContractBroken:
        passed = False
    assert passed == (sum(counts) == sum(loaded))


def test_a_summary_can_be_read_in_one_line():
    """The line says what was read, what arrived where, what it cost and where the watermark is."""
    text = summary_line(check_row_counts(WINDOW, PARTS, {"silver": APPLIED, "gold": Applied.replay(9, 5)}))
    for piece in (
        "10 rows read",
        "1 quarantined",
        "silver +4 ~3 =2",
        "gold held it already",
        "version 5",
        "2 calls",
        "OK 4, ZERO_RESULTS 1",
        "watermark 900",
        "lag 7",
    ):
        assert piece in text


def test_a_part_can_be_read_in_one_line():
    """The line of a part has its rows, its look-ups and their statuses."""
    assert part_summary_line(PARTS[0]) == ("part 0: 6 rows, 1 quarantined; 3 keys: 1 cached, 2 calls, 0.01 USD; OK 3")
