"""`dags/` is parsed as Airflow does it: quickly, alone, and into the DAGs that the pipeline files describe."""

from __future__ import annotations

import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.dags.parsing import parse

ROOT = Path(__file__).parents[2]
ORDER = ["open_window", "extract", "enrich", "load_silver", "write_gold", "commit"]
RECONCILE = "medallion_reconcile"
REFRESH = "medallion_refresh"
MAINTENANCE = "medallion_maintenance"
DAILY = {RECONCILE, REFRESH}
SHARED = {*DAILY, MAINTENANCE}  # DAGs over all pipelines
OTHER = """
source: {table: other, key: id}
enrich: {geocode: {postcode: zip, country: US}}
silver: {table: OTHER}
gold: {table: other}
parts: {max_parallel_parts: 2}
schedule: "5 4 * * *"
owner: facilities
tags: buildings
deletes: hard
fresh_within: 5m
on_change: {at_least_every: 1h, channel: others}
columns: {exclude: [secret], mask: {email: sha256}, rename: {a: b}}
"""
SWITCH = ["boolean", "null"]
REPORTS = ["SentryNotifier", "log_reason"]
BROKEN = "source: {table: broken, key: id, kee: id}\ngold: {}"
BARE = "source: {table: bare, key: id}"
PARTIAL = {
    "no_enrich": f"{BARE}\nsilver: {{table: A}}\ngold: {{table: a}}",
    "no_silver": f"{BARE}\nenrich: {{geocode: {{postcode: zip, country: US}}}}\ngold: {{table: b}}",
    "no_gold": f"{BARE}\nenrich: {{geocode: {{postcode: zip, country: US}}}}\nsilver: {{table: C}}",
    "only_gold": f"{BARE}\ngold: {{table: d}}",
    "own_sink": f"{BARE}\nsilver: {{table: E}}\nsinks: {{toy: {{open: 'toys:open'}}}}",
}
PARTIAL_ORDERS = {
    "no_enrich": ["open_window", "extract", "load_silver", "write_gold", "commit"],
    "no_silver": ["open_window", "extract", "enrich", "write_gold", "commit"],
    "no_gold": ["open_window", "extract", "enrich", "load_silver", "commit"],
    "only_gold": ["open_window", "extract", "write_gold", "commit"],
    "own_sink": ["open_window", "extract", "load_silver", "write_toy", "commit"],
}
"""Tasks of the pipelines of PARTIAL."""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """Parse `dags/` in a process of its own, as it is and with other settings: one result by each name."""
    folder = tmp_path_factory.mktemp("pipelines")
    shutil.copy(ROOT / "include" / "pipelines" / "employees.yaml", folder)
    (folder / "other.yaml").write_text(OTHER)
    (folder / "broken.yaml").write_text(BROKEN)
    partial = tmp_path_factory.mktemp("partial")
    for name, text in PARTIAL.items():
        (partial / f"{name}.yaml").write_text(text)
    cases = {
        "first": {},
        "second": {},
        "third": {},
        "folder": {"MEDALLION_PIPELINES": str(folder)},
        "task": {"MEDALLION_PIPELINES": str(folder), "_AIRFLOW_PARSING_CONTEXT_DAG_ID": "medallion_other"},
        "partial": {"MEDALLION_PIPELINES": str(partial)},
        "manual": {"MEDALLION_PIPELINES": str(folder), "MEDALLION_SCHEDULE": "manual"},
        "hourly": {"MEDALLION_PIPELINES": str(folder), "MEDALLION_SCHEDULE": "@hourly"},
        "on_change": {"MEDALLION_PIPELINES": str(folder), "MEDALLION_SCHEDULE": "on_change"},
    }
    return parse(cases, tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def employees(parsed):
    """Return the DAG of the pipeline file that the package ships."""
    return parsed["first"]["dags"]["medallion_employees"]


def test_no_file_has_an_import_error(parsed):
    """Every file in dags/ can be imported."""
    assert parsed["first"]["errors"] == {}


def test_parsing_is_quick(parsed):
    """Once Airflow is imported, dags/ is parsed in under two seconds."""
    assert min(parsed[case]["seconds"] for case in ("first", "second", "third")) < 2


def test_parsing_needs_no_network(parsed):
    """Nothing is connected to while dags/ is parsed."""
    assert [case for case, result in parsed.items() if result["connections"] or result["errors"]] == []


def test_parsing_loads_nothing_foreign(parsed):
    """Parsing loads our own modules and Airflow's: no driver, no data library, no SDK."""
    plugins = {file.stem for file in (ROOT / "plugins").glob("*.py")}
    known = {"airflow", "include", *plugins, *sys.stdlib_module_names}
    loaded = {module.partition(".")[0] for module in parsed["first"]["modules"]}
    assert "include" in loaded
    assert {m for m in loaded - known if not m.startswith("unusual_prefix_")} == set()  # Airflow's name for a DAG file


def test_each_pipeline_file_is_a_dag_of_its_name(parsed):
    """A pipeline file <name>.yaml is DAG medallion_<name>."""
    assert set(parsed["folder"]["dags"]) - SHARED == {
        "medallion_employees",
        "medallion_other",
        "medallion_broken",
    }


def test_a_task_wires_its_own_dag_alone(parsed):
    """With hundreds of pipelines, a task would otherwise spend seconds on the DAGs of the others."""
    assert set(parsed["task"]["dags"]) - SHARED == {"medallion_other", "medallion_broken"}
    assert parsed["task"]["dags"]["medallion_other"] == parsed["folder"]["dags"]["medallion_other"]


def test_the_package_ships_the_employees_dag(parsed):
    """Without any setting there is medallion_employees."""
    assert "medallion_employees" in parsed["first"]["dags"]


def upstream(dag):
    """Return each task with the tasks that it follows."""
    return {task: dag["tasks"][task]["upstream"] for task in dag["order"]}


def chain(order):
    """Return each task of a straight line with the one that it follows."""
    return {order[0]: [], **{task: [before] for before, task in pairwise(order)}}


def test_tasks_are_the_promised_ones_in_a_straight_line(employees):
    """The tasks have the promised ids and run in the promised order, each after the one before."""
    assert employees["order"] == ORDER
    assert upstream(employees) == chain(ORDER)


@pytest.mark.parametrize(("pipeline", "order"), PARTIAL_ORDERS.items())
def test_a_pipeline_has_exactly_the_tasks_that_it_needs(parsed, pipeline, order):
    """Without an enrichment or a sink its task is left out, and the others are still a straight line."""
    dag = parsed["partial"]["dags"][f"medallion_{pipeline}"]
    assert parsed["partial"]["errors"] == {}
    assert upstream(dag) == chain(order)
    assert [task for task in order if dag["tasks"][task]["mapped"]] == [task for task in order if task == "enrich"]


@pytest.mark.parametrize(("pipeline", "sinks"), [("no_gold", {"silver"}), ("own_sink", {"silver", "toy"})])
def test_a_pipeline_updates_the_assets_of_its_sinks_only(parsed, pipeline, sinks):
    """No other DAG waits for an asset that a pipeline never updates."""
    tasks = parsed["partial"]["dags"][f"medallion_{pipeline}"]["tasks"]
    names = {asset["name"] for task in tasks.values() for asset in task["assets"]}
    assert names == {f"{name}_{pipeline}" for name in {"bronze", *sinks}}


def test_only_enrich_is_mapped(employees):
    """Parts are enriched by one mapped task."""
    assert [task for task in ORDER if employees["tasks"][task]["mapped"]] == ["enrich"]


def test_every_task_is_retried_with_patience(employees):
    """Every task has retries, under the policy that spreads them and gives up when a person must act."""
    for task in employees["tasks"].values():
        assert task["retries"] > 0
        assert task["policy"] == "PatientRetries"


def test_failures_are_reported_from_both_places(employees):
    """Each task and the DAG itself report failures to Sentry."""
    assert employees["callback"] == ["SentryNotifier"]
    assert [task["callback"] for task in employees["tasks"].values()] == [REPORTS] * 6


def test_the_log_of_each_failed_try_ends_with_the_reason(employees):
    """What ends a task's log with the reason runs after a last try, and after one that is repeated."""
    assert [task["retry_callback"] for task in employees["tasks"].values()] == [["log_reason"]] * 6


def test_runs_come_one_at_a_time_and_none_are_caught_up(employees):
    """Runs of a pipeline never overlap, and missed ones are not repeated: the next one reads everything."""
    assert (employees["max_active_runs"], employees["catchup"]) == (1, False)


@pytest.mark.parametrize(("pipeline", "parallel"), [("employees", 4), ("other", 2)])
def test_parallel_parts_are_the_files_setting(parsed, pipeline, parallel):
    """As many parts are enriched at a time as the pipeline file says."""
    assert parsed["folder"]["dags"][f"medallion_{pipeline}"]["tasks"]["enrich"]["max_parallel"] == parallel


def test_the_form_offers_a_full_refresh(employees):
    """The trigger form has a switch for a full refresh, off."""
    offered = employees["params"]["full_refresh"]
    assert (offered["type"], offered["value"]) == (SWITCH, False)


def test_the_form_requires_nothing(parsed):
    """No field of a trigger form is marked as required: each may be null."""
    params = [param for dag in parsed["folder"]["dags"].values() for param in dag["params"].values()]
    assert len(params) > 5
    assert [param for param in params if "null" not in param["type"]] == []


def test_the_form_offers_a_trial(employees):
    """The trigger form has a field for the rows of a trial: empty, or a whole number from 1."""
    offered = employees["params"]["max_rows"]
    assert (sorted(offered["type"]), offered["minimum"], offered["value"]) == (["integer", "null"], 1, None)


@pytest.mark.parametrize("switch", ["refresh_lookups", "replay_quarantine"])
def test_the_form_offers_what_is_read_again(employees, switch):
    """The trigger form has a switch for expired look-ups, and one for quarantined rows; both are off."""
    offered = employees["params"][switch]
    assert (offered["type"], offered["value"]) == (SWITCH, False)


def test_a_dag_has_the_owner_and_the_tags_of_its_file(parsed):
    """Owner and tags are the pipeline file's; every DAG has the tag medallion."""
    dags = parsed["folder"]["dags"]
    assert (dags["medallion_other"]["owner"], dags["medallion_other"]["tags"]) == (
        "facilities",
        ["buildings", "medallion"],
    )
    assert (dags["medallion_employees"]["owner"], dags["medallion_employees"]["tags"]) == ("airflow", ["medallion"])


@pytest.mark.parametrize(
    "fact",
    [
        "table `public.other`, connection `bronze`",
        "| key | `id` |",
        "| Silver | Snowflake `OTHER` |",
        "| Gold | Delta `other` |",
        "| schedule | `5 4 * * *` |",
        "| deletes | rows are removed |",
        "| owner | facilities |",
        "| price | default geocoder: list price |",
        "| all of the table's | as in the source | without `secret` |",
        "| `email` | as masked | masked: sha256 |",
        "| `b` | as in the source | `a` in the source |",
        "| `latitude` | double | added by an enrichment |",
        "| `geocode_status` | string | added by an enrichment |",
    ],
)
def test_the_documentation_is_of_this_pipeline(parsed, fact):
    """It names table, key, sinks, columns with types, schedule and price."""
    assert fact in parsed["folder"]["dags"]["medallion_other"]["doc"]


def test_the_description_says_from_where_to_where(parsed):
    """The list of DAGs shows each pipeline's tables."""
    assert parsed["folder"]["dags"]["medallion_other"]["description"] == (
        "public.other to Snowflake OTHER, Delta other"
    )


def test_a_broken_pipeline_file_is_a_dag_that_names_the_mistakes(parsed):
    """A pipeline file with mistakes is a DAG whose page names the file, the field and the fix."""
    broken = parsed["folder"]["dags"]["medallion_broken"]
    assert "broken.yaml: source.kee: unknown setting; remove it or check its spelling" in broken["doc"]
    assert "broken.yaml: gold.table: is required; add it" in broken["doc"]


def test_a_broken_pipeline_file_leaves_the_others_alone(parsed):
    """Beside a broken pipeline file the others are what they are without it."""
    assert parsed["folder"]["dags"]["medallion_employees"] == parsed["first"]["dags"]["medallion_employees"]


def test_a_broken_pipeline_is_reported_too(parsed):
    """The DAG of a broken pipeline file reports its failures like any other."""
    (task,) = parsed["folder"]["dags"]["medallion_broken"]["tasks"].values()
    assert task["callback"] == REPORTS


@pytest.mark.parametrize(
    ("case", "schedules"),
    [
        ("folder", {"broken": "* * * * *", "employees": "* * * * *", "other": "5 4 * * *"}),
        ("hourly", dict.fromkeys(("broken", "employees", "other"), "@hourly")),
        ("manual", dict.fromkeys(("broken", "employees", "other"))),
    ],
)
def test_the_schedule_is_the_environments_else_the_files(parsed, case, schedules):
    """MEDALLION_SCHEDULE overrides the schedule of every file; `manual` is none."""
    dags = {dag_id: dag for dag_id, dag in parsed[case]["dags"].items() if dag_id not in SHARED}
    assert {dag_id.removeprefix("medallion_"): dag["schedule"] for dag_id, dag in dags.items()} == schedules


def test_a_pipeline_that_runs_on_change_is_watched(parsed):
    """The trigger is one that the triggerer can import, with what it needs to know; a bad file fails every minute."""
    dags = parsed["on_change"]["dags"]
    every, asset, trigger, settings = dags["medallion_other"]["schedule"]
    assert (every, asset, trigger) == (3600, "changes_other", "medallion_on_change.SourceChanged")
    assert settings == {
        "pipeline": "other",
        "read": "xmin",
        "connection": "bronze",
        "schema": "public",
        "table": "other",
        "publication": "medallion_other",
        "channel": "others",
    }
    assert dags["medallion_employees"]["schedule"][0] == 900
    assert dags["medallion_broken"]["schedule"] == "* * * * *"


def test_a_pipeline_may_have_a_deadline(parsed):
    """It is reported by the notifier that reports failures."""
    dags = parsed["folder"]["dags"]
    assert dags["medallion_other"]["deadline"] == [[300, "sentry_notifier.SentryNotifier"]]
    assert dags["medallion_employees"]["deadline"] == []


@pytest.mark.parametrize("dag_id", sorted(DAILY))
@pytest.mark.parametrize(("case", "schedule"), [("folder", "@daily"), ("hourly", "@daily"), ("manual", None)])
def test_what_is_daily_is_daily_unless_manual(parsed, dag_id, case, schedule):
    """Comparing and refreshing do not follow the pipelines' schedule, and can be left to a person."""
    assert parsed[case]["dags"][dag_id]["schedule"] == schedule


@pytest.mark.parametrize(("dag_id", "task"), [(RECONCILE, "reconcile"), (REFRESH, "refresh")])
def test_what_is_daily_is_one_mapped_task_over_the_pipelines(parsed, dag_id, task):
    """One task chooses the pipelines, the other does its work for each; the form takes a name."""
    found = parsed["first"]["dags"][dag_id]
    assert found["order"] == ["choose", task]
    assert found["tasks"][task]["mapped"]
    assert (sorted(found["params"]["pipeline"]["type"]), found["params"]["pipeline"]["value"]) == (
        ["null", "string"],
        None,
    )


@pytest.mark.parametrize("dag_id", sorted(DAILY))
def test_what_is_daily_is_retried_and_reported_like_a_pipeline(parsed, employees, dag_id):
    """It has the pipelines' retries, callbacks and bounds."""
    found = parsed["first"]["dags"][dag_id]
    shared = ("callback", "catchup", "max_active_runs")
    assert {name: found[name] for name in shared} == {name: employees[name] for name in shared}
    for task in found["tasks"].values():
        assert (task["callback"], task["policy"]) == (REPORTS, "PatientRetries")
        assert task["retries"] == employees["tasks"]["commit"]["retries"]


@pytest.mark.parametrize(("case", "schedule"), [("folder", "30 3 * * *"), ("hourly", "30 3 * * *"), ("manual", None)])
def test_maintenance_is_nightly_unless_manual(parsed, case, schedule):
    """Maintenance is nightly regardless of the pipelines' schedule, and can be left to a person."""
    assert parsed[case]["dags"][MAINTENANCE]["schedule"] == schedule


def test_maintenance_waits_for_each_pipeline_and_maintains_one_at_a_time(parsed):
    """For each pipeline that was chosen: wait until it is idle, then maintain, one at a time; the form takes a name."""
    found = parsed["first"]["dags"][MAINTENANCE]
    tasks = found["tasks"]
    assert set(tasks) == {"choose", "pipeline.idle", "pipeline.maintain", "maintain_shared"}
    assert (tasks["pipeline.idle"]["upstream"], tasks["pipeline.maintain"]["upstream"]) == (
        ["choose"],
        ["choose", "pipeline.idle"],
    )
    assert tasks["pipeline.maintain"]["max_parallel"] == 1
    assert (sorted(found["params"]["pipeline"]["type"]), found["params"]["pipeline"]["value"]) == (
        ["null", "string"],
        None,
    )


def test_maintenance_is_retried_and_reported_like_a_pipeline(parsed, employees):
    """It has the pipelines' retries, callbacks and bounds."""
    found = parsed["first"]["dags"][MAINTENANCE]
    shared = ("callback", "catchup", "max_active_runs")
    assert {name: found[name] for name in shared} == {name: employees[name] for name in shared}
    for task in found["tasks"].values():
        assert (task["callback"], task["policy"]) == (REPORTS, "PatientRetries")
        assert task["retries"] == employees["tasks"]["commit"]["retries"]


def test_assets_have_names_only(employees):
    """No asset has a URI with a scheme: those load every provider in every task."""
    assets = [asset for task in employees["tasks"].values() for asset in task["assets"]]
    assert {asset["name"] for asset in assets} == {"bronze_employees", "silver_employees", "gold_employees"}
    assert [asset for asset in assets if asset["uri"] != asset["name"]] == []


def test_many_deletes_are_approved_in_the_form_of_the_reconcile(parsed):
    """The parameter is off unless somebody switches it on."""
    approval = parsed["first"]["dags"][RECONCILE]["params"]["approve_deletes"]
    assert (approval["type"], approval["value"]) == (SWITCH, False)
