"""A failure is reported once, loses nothing, and the run can be cleared once its cause is fixed."""

from __future__ import annotations

from collections import Counter

import pytest

from . import people

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
AFTER_ENRICH = ("load_silver", "write_gold", "commit")


def test_a_failed_part_fails_the_run(failed):
    """If one part's look-ups fail, the run fails, and nothing after it is run."""
    states = failed.run.states
    enriched = Counter(state for name, state in states.items() if name.startswith("enrich["))
    assert failed.run.state == "failed"
    assert enriched == {"failed": 1, "success": 2}
    assert [states[name] for name in AFTER_ENRICH] == ["upstream_failed"] * 3


def test_a_failed_part_was_retried(failed):
    """A transient failure is retried as often as the task says before it fails."""
    assert {task["state"]: task["try_number"] for task in failed.run.tasks if task["task_id"] == "enrich"} == {
        "failed": 5,
        "success": 1,
    }


def test_a_failed_part_leaves_the_watermark_and_both_sinks(failed):
    """After a failed part neither sink holds anything of the batch, and the watermark has not moved."""
    assert (failed.watermark, failed.silver, failed.gold) == (None, {}, {})


def test_a_failed_part_is_one_issue_that_names_it(failed, deployment):
    """Sentry has one issue, however many events; they name the run and the map index."""
    (index,) = [task["map_index"] for task in failed.run.tasks if task["state"] == "failed"]
    issues = failed.issues
    assert issues.keys() == {("medallion", "medallion_people", "enrich")}
    (events,) = issues.values()
    assert {(e["tags"]["run_id"], e["tags"]["map_index"]) for e in events} == {(failed.run.run_id, str(index))}
    assert Counter("reason" in e["tags"] for e in events) == {False: 1, True: 1}


def test_a_recovered_run_brings_every_row_once(recovered, deployment):
    """Cleared once the provider answers, the same run brings every good row to both sinks, with its values."""
    source = deployment.bronze("people", people.COLUMNS)
    bad = {i for i, row in source.items() if row["postcode"] in (people.UNREADABLE[1], people.REFUSED[1])}
    good = {i: row for i, row in source.items() if i not in bad}
    gold = recovered.gold
    assert recovered.run.state == "success"
    assert recovered.silver == gold
    assert {i: {name: gold[i][name] for name in good[i]} for i in gold} == good


def test_a_recovered_run_has_paid_for_each_key_once(recovered):
    """Over the failed try, all retries and the recovered one, each key that was answered was asked once."""
    calls = Counter((call.country, call.postcode) for call in recovered.calls)
    failing = calls.pop(people.FAILING)
    assert calls == dict.fromkeys([*people.FOUND, people.UNREADABLE], 1)
    assert failing == 2 * 5 + 1  # two attempts in each of five tries, then the answer


def test_an_unreadable_key_quarantines_its_rows(recovered, deployment):
    """A row whose key the provider cannot read is in the quarantine, whole, and the rest of its batch arrives."""
    (row,) = deployment.quarantine("people")
    assert (row["reason"], recovered.run.summary.quarantined) == ("KEY_REFUSED", 1)
    assert people.EMAIL in row["row"]


def test_a_recovered_run_moves_the_watermark(recovered):
    """The watermark is where the recovered run's window ends."""
    assert recovered.watermark["silver"]["upto"] == recovered.run.summary.upto


def test_a_refused_key_fails_at_once(refused):
    """If the key is refused, the run fails without a retry: a person must act."""
    tried = {task["try_number"] for task in refused.run.tasks if task["task_id"] == "enrich"}
    assert (refused.run.state, tried) == ("failed", {1})
    assert "check GOOGLE_API_KEY" in refused.run.failures


def test_a_refused_key_writes_nothing(refused, recovered):
    """If the key is refused, both sinks and the watermark stay as they were."""
    assert (refused.silver, refused.gold, refused.watermark) == (recovered.silver, recovered.gold, recovered.watermark)


def test_a_refused_key_is_a_further_event_of_the_same_issue(refused):
    """The same task failing again is the same issue in Sentry."""
    assert refused.issues.keys() == {("medallion", "medallion_people", "enrich")}


def test_a_load_that_is_refused_does_not_quote_the_row(clash):
    """The log of a load into a column of another type names the column and its type, and none of its values."""
    assert "load_silver" in clash
    assert "column EMAIL of the Silver table CLASH is NUMBER" in clash
    assert people.EMAIL not in clash


def test_a_broken_pipeline_file_names_its_mistakes(deployment):
    """The run of a pipeline whose file has mistakes fails without a retry; its log has the file, field and fix."""
    run = deployment.run("broken")
    assert (run.state, run.states) == ("failed", {"read_pipeline_file": "failed"})
    assert "broken.yaml: source.kee: unknown setting; remove it or check its spelling" in run.failures
    assert "broken.yaml: gold.table: is required; add it" in run.failures
    assert [task["try_number"] for task in run.tasks] == [1]
