"""Look-ups of eight mapped tasks in parallel, by the real scheduler, while a fifth of all calls fails in some way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice

import pytest

from include.sandbox import client
from include.sandbox.google import places

from .deployment import Deployment, Run

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
ROWS, KEYS, RATE, PARTS = 10_000, 300, 40, 8
FAULTS = ("429", "503", "500", "408", "disconnect", "truncated", "not_json", "hang")
SHARE = 0.2 / len(FAULTS)


@dataclass(frozen=True)
class Tried:
    """A run, the calls that reached the stand-in, and what came to Gold."""

    run: Run
    calls: list
    gold: dict


@pytest.fixture(scope="module")
def quiet(deployment, begun, refused) -> Deployment:
    """Wait until no other run calls Google."""
    for run in begun.values():
        run.ended()
    return deployment


@pytest.fixture(scope="module")
def faulty(quiet) -> Tried:
    """Run 10 000 rows with 300 postcodes in eight parts, while a fifth of the calls fails."""
    codes = _codes(0, KEYS)
    quiet.sql("CREATE TABLE engine (id int PRIMARY KEY, postcode text)")
    quiet.sql(
        "INSERT INTO engine SELECT n, (%s::text[])[1 + n %% %s] FROM generate_series(1, %s) AS n", codes, KEYS, ROWS
    )
    for kind in FAULTS:
        quiet.google.fail(kind, share=SHARE, retry_after="0" if kind == "429" else None)
    tried = _tried(quiet)
    quiet.google.faults.clear()
    return tried


@pytest.fixture(scope="module")
def denied(quiet, faulty) -> Tried:
    """Run as many new postcodes in eight parts while the key is refused."""
    codes = _codes(1, KEYS)
    quiet.sql("INSERT INTO engine SELECT n, (%s::text[])[n - %s] FROM generate_series(%s + 1, %s) AS n",
              codes, ROWS, ROWS, ROWS + KEYS)  # fmt: skip
    quiet.google.fail("403")
    tried = _tried(quiet)
    quiet.google.faults.clear()
    return tried


@pytest.fixture(scope="module")
def renewed(quiet) -> tuple[Run, Run]:
    """Run five postcodes on a budget of two calls, then let the daily refresh trigger the second run."""
    quiet.sql("CREATE TABLE budget (id int PRIMARY KEY, postcode text)")
    quiet.insert("budget", *({"id": n, "postcode": code} for n, code in enumerate(_codes(2, 5))))
    first = quiet.run("budget")
    daily = replace(quiet.begin("refresh", pipeline="budget").ended())
    second = Run(daily.api, first.dag_id, f"refresh__{daily.run_id}")
    return first, second.ended()


def _codes(offset: int, count: int) -> list[str]:
    """Return postcodes that the stand-in knows: others for each offset."""
    known = (code for n in range(501, 99_951) if places.find("US", code := f"{n:05}"))
    return list(islice(known, offset, None, 100))[:count]


def _tried(quiet: Deployment) -> Tried:
    before = len(quiet.google.calls)
    run = quiet.run("engine")
    return Tried(run, quiet.google.calls[before:], quiet.gold("engine"))


def test_eight_parts_answer_every_key_and_invent_nothing(faulty, quiet):
    """All 10 000 rows arrive in both sinks, each where its postcode lies."""
    truth = {code: places.find("US", code) for code in {row["postcode"] for row in faulty.gold.values()}}
    wrong = [
        number
        for number, row in faulty.gold.items()
        if (row["latitude"], row["longitude"]) != (truth[row["postcode"]].latitude, truth[row["postcode"]].longitude)
    ]
    assert (faulty.run.state, len(faulty.gold), len(truth), wrong) == ("success", ROWS, KEYS, [])
    assert quiet.silver("engine") == faulty.gold
    assert sum(name.startswith("enrich[") for name in faulty.run.states) == PARTS


def test_every_call_is_counted_and_none_made_twice(faulty):
    """The summary has all calls that arrived; a key was asked again only after a call for it had failed."""
    lookups = faulty.run.summary.lookups
    retries = len(faulty.calls) - KEYS
    assert (lookups.keys, lookups.calls, lookups.cached) == (KEYS, len(faulty.calls), 0)
    assert (lookups.rows, lookups.keys) == (ROWS, KEYS)
    assert lookups.cost_usd == pytest.approx(len(faulty.calls) * 17 / 1000)
    assert 0.1 < retries / len(faulty.calls) < 0.35


def test_the_rate_of_the_deployment_is_kept_by_all_tasks_together(faulty):
    """In no second did the stand-in get more than the rate, and one call more for each of the eight tasks."""
    at = sorted(call.at for call in faulty.calls)
    most = max(sum(begin <= moment < begin + 1 for moment in at) for begin in at)
    print(
        f"{len(at)} calls in {at[-1] - at[0]:.1f} s; at {RATE}/s they take {len(at) / RATE:.1f} s; most in 1 s: {most}"
    )
    assert most <= RATE + PARTS


def test_long_look_ups_report_progress(faulty):
    """A part's log has a group with lines about what is done, what is left, rate and end, and a summary line."""
    path = f"dags/{faulty.run.dag_id}/dagRuns/{faulty.run.run_id}/taskInstances/enrich/logs/1"
    logs = [
        [str(entry.get("event")) for entry in faulty.run.api.call("GET", path, params={"map_index": n})["content"]]
        for n in range(PARTS)
    ]
    lines = [line for log in logs for line in log]
    assert sum(line.startswith("::group::look-ups of part") for line in lines) == PARTS
    assert any(" done, " in line and " left, " in line and "/s, about " in line for line in lines)
    assert sum("keys: 0 cached" in line and " USD; OK " in line for line in lines) == PARTS


def test_a_refused_key_stops_all_parts_within_one_call_each(denied, faulty, quiet):
    """Eight parts, eight calls at the most, no retry, nothing written, nothing quarantined."""
    enrich = [task for task in denied.run.tasks if task["task_id"] == "enrich"]
    assert (denied.run.state, {task["state"] for task in enrich}) == ("failed", {"failed"})
    assert {task["try_number"] for task in enrich} == {1}
    assert 1 <= len(denied.calls) <= PARTS == len(enrich)
    assert "check GOOGLE_API_KEY" in denied.run.failures
    assert (denied.gold, quiet.quarantine("engine")) == (faulty.gold, [])


def test_the_daily_refresh_finds_what_the_budget_left(renewed, quiet):
    """Two rows have their place after the first run, four after the refresh; both sinks are equal."""
    first, second = renewed
    assert Counter(first.summary.lookups.statuses) == {"OK": 2, "PENDING": 3}
    assert (second.state, second.summary.mode, second.summary.lookups.calls) == ("success", "lookups", 2)
    gold = quiet.gold("budget")
    assert Counter(row["geocode_status"] for row in gold.values()) == {"OK": 4, "PENDING": 1}
    assert quiet.silver("budget") == gold


def test_a_replay_of_the_quarantine_reads_its_rows_again(quiet):
    """A key that is still refused is quarantined again, in the newest batch, and costs nothing."""
    before = len(quiet.google.calls)
    run = quiet.run("people", replay_quarantine=True)
    (entry,) = [row for row in quiet.quarantine("people") if row["closed_at"] is None]
    assert (run.state, run.summary.mode, run.summary.quarantined) == ("success", "quarantine", 1)
    assert entry["_batch_id"] == run.summary.batch_id
    assert len(quiet.google.calls) == before


def test_the_forms_options_are_mutually_exclusive(quiet):
    """Two options in one run fail at once, and are named."""
    both = quiet.run("budget", refresh_lookups=True, replay_quarantine=True)
    assert "refresh_lookups and replay_quarantine are mutually exclusive" in both.failures
    assert json.dumps(client.tasks(both.api, both.dag_id, both.run_id)).count('"failed"') == 1
