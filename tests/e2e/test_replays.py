"""Tasks, map indexes and whole runs, repeated by the real Airflow: nothing is lost, doubled or regressed."""

from __future__ import annotations

import pytest

from . import replays
from .deployment import Run

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
NEWEST, OVERTAKEN = 1, 0
AGAIN = [(NEWEST, task) for task in ("extract", ("enrich", 1), "load_silver", "write_gold", "commit")]
AGAIN += [(OVERTAKEN, task) for task in ("extract", "load_silver")]


@pytest.fixture(scope="module")
def runs(deployment) -> list[Run]:
    """Return two runs: the first brought eight rows in three parts, the second newer versions of half of them."""
    deployment.sql(replays.DDL)
    replays.put(deployment, 1, *range(8))
    first = deployment.run(replays.NAME)
    replays.put(deployment, 2, *range(4), 8)
    return [first, deployment.run(replays.NAME)]


@pytest.mark.parametrize(("which", "task"), AGAIN)
def test_a_task_again_changes_nothing(runs, deployment, which, task):
    """A task and all after it, of the newest run or of one whose rows are newer now: no value, version or call more."""
    before = replays.snapshot(deployment)
    again = runs[which].again(task)
    assert again.state == "success"
    assert replays.snapshot(deployment) == before


def test_an_old_run_again_brings_what_is_new(runs, deployment):
    """The oldest run, cleared whole, opens a window of now: the watermark goes on, and old values stay away."""
    before = replays.snapshot(deployment)
    replays.put(deployment, 3, 1, 9)
    again = runs[0].again()
    after = replays.snapshot(deployment)
    assert (again.state, again.summary.read) == ("success", 2)
    assert after.watermark["silver"]["upto"] > before.watermark["silver"]["upto"]
    assert {i for i in after.gold if after.gold[i] != before.gold.get(i)} == {1, 9}


def test_an_old_watermark_doubles_nothing(runs, deployment):
    """With the position of the first run restored, Silver's rows since then are read again and end as they were."""
    after_first = runs[1].summary.after
    before = replays.snapshot(deployment)
    old = {**before.watermark["silver"], "upto": after_first, "batch_id": 20200101000000000}
    deployment.remember(replays.NAME, {"silver": old})
    replays.put(deployment, 4, 2)
    again = deployment.run(replays.NAME)
    after = replays.snapshot(deployment)
    assert (again.state, again.summary.after) == ("success", after_first)
    assert after.watermark["silver"]["upto"] > before.watermark["silver"]["upto"]
    assert {i: row["n"] for i, row in after.gold.items()} == {i: row["n"] for i, row in before.gold.items()} | {2: 4}


def test_a_lost_watermark_reads_only_what_is_new(runs, deployment):
    """With nothing remembered Silver is asked: one row is new, one is read."""
    deployment.remember(replays.NAME, None)
    assert deployment.watermark(replays.NAME) is None
    replays.put(deployment, 5, 3)
    again = deployment.run(replays.NAME)
    assert (again.state, again.summary.read) == ("success", 1)
    assert replays.snapshot(deployment).gold[3]["n"] == 5


def test_two_runs_at_once_are_one_after_the_other(runs, deployment):
    """A run that is triggered during another one waits for its end; both succeed, each new key is paid for once."""
    replays.put(deployment, 6, 4, 10)
    first, second = deployment.begin(replays.NAME), deployment.begin(replays.NAME)
    first, second = first.ended(), second.ended()
    assert (first.state, second.state) == ("success", "success")
    assert first.times[1] <= second.times[0]
    assert (first.summary.read, second.summary) == (2, None)
    assert replays.snapshot(deployment).gold[10]["n"] == 6
