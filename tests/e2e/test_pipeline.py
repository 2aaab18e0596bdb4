"""Rows of real tables reach both sinks through the real Airflow, once, complete, and with the right coordinates."""

from __future__ import annotations

import pytest

from include.sandbox import client

from .deployment import Run, wait

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
OFFICES = {"98052": (47.68, -122.12), "10001": (40.75, -74.00), "60601": (41.89, -87.62)}  # looked up on a map
SKIPPED = dict.fromkeys(("enrich", "load_silver", "write_gold", "commit"), "skipped")


def spoken(log: list[dict]) -> list[str]:
    """Return the lines of a task's log that our code wrote."""
    return [line["event"] for line in log if line.get("logger") == "airflow.task.medallion"]


def place(row: dict) -> tuple:
    """Return where a row was found to be, and how that look-up ended."""
    return row["latitude"], row["longitude"], row["geocode_status"]


@pytest.fixture(scope="module")
def first(begun):
    """Return the first run of the employees pipeline: the sample rows, and seven more."""
    return begun["employees"].ended()


def test_first_run_succeeds(first):
    """The first run ends well, each task of it."""
    assert first.state == "success"
    assert set(first.states.values()) == {"success"}


def test_the_log_of_commit_ends_with_the_row_accounting(first):
    """The last thing that `commit` logs is a table: a line for each sink, with every row's outcome."""
    title, *sinks = spoken(first.log("commit"))[-1].strip().splitlines()
    columns = ["sink", "read", "inserted", "updated", "deleted", "superseded", "quarantined", "unchanged"]
    assert title.split() == columns
    assert [line.split() for line in sinks] == [[name, "307", "307", *["0"] * 5] for name in ("silver", "gold")]


def test_a_dag_can_be_scheduled_on_gold(first, deployment):
    """The example of a consumer runs by itself when Gold was written, and reads what the run wrote."""
    api = client.login(deployment.settings)
    runs = wait(lambda: api.call("GET", "dags/headcount/dagRuns")["dag_runs"])
    consumer = Run(api, "headcount", runs[0]["dag_run_id"]).ended()
    assert (consumer.state, runs[0]["run_type"]) == ("success", "asset_triggered")
    path = f"dags/headcount/dagRuns/{consumer.run_id}/taskInstances/count/xcomEntries/return_value"
    counted = api.call("GET", path, params={"deserialize": "true"})["value"]
    assert sum(counted.values()) == 307


def test_every_row_is_in_both_sinks_by_value(first, deployment):
    """Silver and Gold are equal in every column, and hold every row of the source with its values."""
    source, silver, gold = deployment.bronze("employees"), deployment.silver("employees"), deployment.gold("employees")
    assert len(source) == 307
    assert silver == gold
    assert {i: {name: gold[i][name] for name in row} for i, row in source.items()} == source
    assert gold.keys() == source.keys()


@pytest.mark.parametrize(("number", "postcode"), enumerate(OFFICES, start=1001))
def test_coordinates_are_right(first, deployment, number, postcode):
    """A postcode is where the map has it, to a few kilometres."""
    latitude, longitude, status = place(deployment.gold("employees")[number])
    assert (latitude, longitude) == pytest.approx(OFFICES[postcode], abs=0.05)
    assert status == "OK"


def test_an_unknown_postcode_has_no_coordinates(first, deployment):
    """A postcode that is nowhere arrives without coordinates, with a status, and never at 0, 0."""
    gold = deployment.gold("employees")
    assert place(gold[1004]) == place(gold[1005]) == (None, None, "ZERO_RESULTS")
    assert place(gold[1006]) == (None, None, "NO_POSTCODE")
    assert [i for i, row in gold.items() if row["latitude"] == 0 or row["longitude"] == 0] == []


def test_asset_events_carry_the_counts(first):
    """Both sinks' assets are updated once, with the run's counts as extras."""
    assert first.events == dict.fromkeys(("silver_employees", "gold_employees"), first.summary)
    assert (first.summary.read, first.summary.quarantined) == (307, 0)


def test_nothing_new_is_green_and_writes_nothing(first, deployment):
    """A run without new rows succeeds, skips all after extract, and makes no Delta version."""
    before = deployment.version("employees"), deployment.watermark("employees")
    second = deployment.run("employees")
    assert second.state == "success"
    assert second.states == {"open_window": "success", "extract": "success", **SKIPPED}
    assert (deployment.version("employees"), deployment.watermark("employees")) == before


def test_only_inserts_and_updates_arrive(first, deployment):
    """A row that was changed and one that was added are brought, and nothing else is touched."""
    before = deployment.gold("employees")
    deployment.sql("INSERT INTO employees (id, postcode) VALUES (2001, '98052')")
    deployment.sql("UPDATE employees SET postcode = '60601' WHERE id = 7")
    counts = deployment.run("employees").summary.sinks["gold"]
    after = deployment.gold("employees")
    assert (counts.read, counts.inserted, counts.updated) == (2, 1, 1)
    assert {i for i in after if after[i] != before.get(i)} == {7, 2001}
    assert place(after[7]) == place(before[1003])
    assert deployment.silver("employees") == after


def test_a_trial_leaves_the_watermark(first, deployment):
    """`max_rows` brings so many rows; the next run reads them all, as if there had been no trial."""
    deployment.sql("INSERT INTO employees (id) VALUES (4001), (4002), (4003)")
    before = deployment.watermark("employees")
    trial = deployment.run("employees", max_rows=1)
    assert trial.summary.read == 1
    assert deployment.watermark("employees") == before
    assert deployment.run("employees").summary.read == 3
    assert deployment.bronze("employees").keys() == deployment.silver("employees").keys()


def test_a_trial_may_be_the_first_run(first, deployment):
    """`max_rows` on a pipeline that never ran brings its rows to both sinks, is green and leaves no watermark."""
    trial = deployment.run("trial", max_rows=2)
    assert (trial.state, trial.summary.read) == ("success", 2)
    assert deployment.watermark("trial") is None
    assert len(deployment.silver("trial")) == 2
    assert deployment.gold("trial") == deployment.silver("trial")


def test_a_full_refresh_replaces_both_sinks(first, deployment):
    """`full_refresh` reads every row again: what was deleted in the source is gone from both sinks."""
    deployment.sql("DELETE FROM employees WHERE id = 1007")
    assert 1007 in deployment.gold("employees")
    refresh = deployment.run("employees", full_refresh=True)
    source = deployment.bronze("employees")
    assert refresh.summary.read == len(source)
    assert deployment.gold("employees").keys() == source.keys()
    assert deployment.silver("employees") == deployment.gold("employees")


def test_the_log_of_a_failed_task_ends_with_the_reason(first, deployment):
    """What Airflow logs of the failure, with all frames, is folded; the last line is the reason in one sentence."""
    failed = deployment.run("employees", full_refresh=True, refresh_lookups=True)
    *before, reason, _ = [line["event"] for line in failed.log("open_window")]
    assert reason.startswith("SettingError: full_refresh and refresh_lookups are mutually exclusive")
    folded = before[before.index("::group::where it failed") :]
    assert [line for line in folded if line.startswith(("Task failed", "::"))] == [
        *("::group::where it failed", "Task failed with exception", "::group::Post Execute"),
        *["::endgroup::"] * 2,
    ]


def test_options_that_are_mutually_exclusive_fail_with_a_reason(first, deployment):
    """A full refresh and a trial at once fail at once, and the log says why."""
    both = deployment.run("employees", full_refresh=True, max_rows=1)
    assert both.state == "failed"
    assert both.states["open_window"] == "failed"
    assert "full_refresh and max_rows are mutually exclusive" in both.failures
    assert [task["try_number"] for task in both.tasks if task["state"] == "failed"] == [1]


@pytest.fixture(scope="module")
def abroad(begun):
    """Return the first run of a pipeline over employees in six countries, asked of Address Validation."""
    if "adventureworks" not in begun:
        pytest.skip("../shared/data/adventureworks_employees.csv is not there")
    return begun["adventureworks"].ended()


def test_another_table_needs_only_a_file(abroad, deployment):
    """A table of another shape arrives whole in tables of its own, described by nothing but its file."""
    source, silver = deployment.bronze("adventureworks"), deployment.silver("adventureworks")
    gold = deployment.gold("adventureworks")
    assert (abroad.state, len(source)) == ("success", 290)
    assert silver == gold
    assert {i: {name: gold[i][name] for name in row} for i, row in source.items()} == source


def test_every_country_is_found_in_its_place(abroad, deployment):
    """Postcodes are found where their country is; the one that the stand-in does not know is nowhere."""
    near = {"AU": (-38, 145), "CA": (48, -95), "DE": (52, 13), "GB": (51, -3), "US": (40, -97)}
    rows = [(row["country"], place(row)) for row in deployment.gold("adventureworks").values()]
    found = [(country, where[:2]) for country, where in rows if where[2] == "OK"]
    assert {row for row in rows if row[1][2] != "OK"} == {("FR", (None, None, "ZERO_RESULTS"))}
    assert {country for country, _ in found} == near.keys()
    assert [c for c, (y, x) in found if abs(y - near[c][0]) > 12 or abs(x - near[c][1]) > 30] == []


def test_each_postcode_is_asked_once(abroad, deployment):
    """290 rows in 32 postcodes cost 32 calls."""
    calls = [call for call in deployment.google.calls if call.api == "validation"]
    assert (len(calls), len({(c.country, c.postcode) for c in calls})) == (32, 32)
    assert abroad.summary.lookups.calls == 32
