"""The books of a run."""

import pytest

from include.medallion.errors import ContractBroken
from include.medallion.model.counts import Applied
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart
from include.medallion.steps.row_counts import check_row_counts, match_parts, summary_line

WINDOW = Window("one", "source", 500, 900, 20261122203059123, lag=7)
PARTS = [{"number": 0, "rows": 6, "of": 2}, {"number": 1, "rows": 4, "of": 2}]
ENRICHED = [
    EnrichedPart(0, 6, 5, 1, asked=5, keys=3, cached=1, calls=2, cost_usd=0.01, statuses={"OK": 3}).to_json(),
    EnrichedPart(1, 4, 4, 0, asked=4, keys=2, cached=2, statuses={"OK": 1, "ZERO_RESULTS": 1}).to_json(),
]
APPLIED = Applied(read=9, inserted=4, updated=3, superseded=2, version=5).to_json()


def test_books_that_balance_are_summed_up():
    """Counts of all parts and sinks come together in one summary."""
    summary = check_row_counts(WINDOW, PARTS, ENRICHED, APPLIED, APPLIED)
    assert (summary.read, summary.quarantined, summary.lag_transactions) == (10, 1, 7)
    assert summary.lookups == {
        "keys": 5,
        "cached": 3,
        "calls": 2,
        "calls_saved": {"by_duplicates": 4, "by_cache": 3},
        "cost_usd": 0.01,
        "statuses": {"OK": 4, "ZERO_RESULTS": 1},
    }
    assert summary["silver"] == summary["gold"] == {**APPLIED, "quarantined": 1}


def test_a_replayed_sink_balances():
    """A sink that held the batch already counts all its rows as superseded."""
    replayed = Applied.replay(9).to_json()
    assert check_row_counts(WINDOW, PARTS, ENRICHED, replayed, APPLIED)["silver"]["replayed"]


@pytest.mark.parametrize("sink", ["Silver", "Gold"])
@pytest.mark.parametrize("count", ["inserted", "updated", "superseded", "read"])
def test_a_row_that_is_missing_in_a_sink_is_an_error_that_names_it(sink, count):
    """One row less in any count of any sink stops the run before the watermark moves."""
    short = {**APPLIED, count: APPLIED[count] - 1}
    with pytest.raises(ContractBroken, match=rf"{WINDOW.batch_id} does not balance.*{sink}: 10 rows read"):
        check_row_counts(WINDOW, PARTS, ENRICHED, *((short, APPLIED) if sink == "Silver" else (APPLIED, short)))


def test_both_sinks_are_named_if_both_are_short():
    """One look at the message tells the whole extent."""
    short = {**APPLIED, "inserted": 0}
    with pytest.raises(ContractBroken, match=r"Silver.*Gold"):
        check_row_counts(WINDOW, PARTS, ENRICHED, short, short)


@pytest.mark.parametrize("answered", [ENRICHED[:1], [ENRICHED[0], {**ENRICHED[1], "read": 3}]])
def test_a_part_that_was_not_enriched_whole_is_an_error(answered):
    """A part lost, or read in part, between two tasks stops the run, with the counts of both."""
    with pytest.raises(ContractBroken, match=r"parts: \{0: 6, 1: 4\} extracted"):
        check_row_counts(WINDOW, PARTS, answered, APPLIED, APPLIED)


def test_answers_of_an_earlier_try_are_left_out():
    """A window that is extracted again may make fewer parts; answers beyond them are none of this try's."""
    assert match_parts(PARTS, ENRICHED) == ENRICHED
    assert match_parts(PARTS[:1], ENRICHED) == ENRICHED[:1]


@pytest.mark.parametrize("parts", [[*PARTS, {"number": 2, "rows": 1}], [PARTS[0], {**PARTS[1], "rows": 5}], PARTS[1:]])
def test_answers_that_are_not_of_the_parts_never_reach_a_sink(parts):
    """Parts that were extracted anew and not enriched since hold rows that would be lost: the message tells so."""
    with pytest.raises(ContractBroken, match=r"extracted.*enriched: clear `extract` and all after it"):
        match_parts(parts, ENRICHED)


def test_a_summary_can_be_read_in_one_line():
    """The line says what was read, what arrived where, what it cost and where the watermark is."""
    text = summary_line(check_row_counts(WINDOW, PARTS, ENRICHED, APPLIED, Applied.replay(9, 5).to_json()))
    for part in (
        "10 rows read",
        "1 quarantined",
        "Silver +4 ~3 =2",
        "Gold held it already",
        "version 5",
        "2 calls",
        "watermark 900",
        "lag 7",
    ):
        assert part in text
