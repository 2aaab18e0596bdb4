"""
One real Airflow and all servers, for all tests of this folder: booting them takes half a minute.

Its DAG folder holds this repository's DAG files and what a test adds; its pipeline files
are `employees` and, for tests that bring rows of their own, `people` and others. Google
and Sentry are the sandbox's stand-ins, in this process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from include.sandbox import client, postgres, stack
from include.sandbox.google import serving
from include.sandbox.sentry import receiving

from . import people
from .deployment import Deployment, Run, wait

ROOT = Path(__file__).parents[2]
CSV = ROOT.parent / "shared" / "data" / "adventureworks_employees.csv"
SAMPLE_ROWS = 300
ADDED = {1001: "98052", 1002: "10001", 1003: "60601", 1004: "00000", 1005: "nowhere", 1006: None, 1007: "98052"}
"""Employees beside the sample ones: id and postcode."""
NOT_THE_CALLERS = ("MEDALLION_", "AWS_", "AIRFLOW", "SENTRY_", "GOOGLE_")


@pytest.fixture(scope="package")
def deployment(tmp_path_factory) -> Iterator[Deployment]:
    """Start everything."""
    state, project = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("project")
    _fill(project)
    with serving(keys=[people.GOOGLE_KEY]) as google, receiving() as sentry, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(NOT_THE_CALLERS)]:
            patch.delenv(name)
        ours = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
            # a test asks for a file to be read when it has changed it: the processor reads few in between
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            "MEDALLION_PIPELINES": str(project / "include" / "pipelines"),
            "GOOGLE_API_KEY": people.GOOGLE_KEY,
            "GOOGLE_GEOCODING_URL": google.geocoding_url,
            "GOOGLE_ADDRESS_VALIDATION_URL": google.validation_url,
            "SENTRY_DSN": sentry.dsn,
            "MEDALLION_PAGE_DATA": "on",
            "MEDALLION_APPROVAL_HOURS": "24",
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.e2e.hiding_auth_manager.HidingAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,outsider:viewer",
        }
        try:
            settings = stack.up(state, print, SAMPLE_ROWS, ours)
            patch.setenv("REQUESTS_CA_BUNDLE", settings["REQUESTS_CA_BUNDLE"])
            yield Deployment(state, project, settings, google, sentry)
        finally:
            stack.down(state, print)
            postgres.discard(state)


@pytest.fixture
def api(deployment) -> client.Api:
    """Log in to Airflow."""
    return client.login(deployment.settings)


def _fill(project: Path) -> None:
    """Make a project folder: the DAG files of this repository, and pipeline files."""
    dags, files = project / "dags", project / "include" / "pipelines"
    for folder in (dags, files):
        folder.mkdir(parents=True)
    for file in (ROOT / "dags").glob("*.py"):
        (dags / file.name).symlink_to(file)
    (dags / "headcount.py").symlink_to(ROOT / "docs" / "examples" / "headcount.py")
    employees = yaml.safe_load((ROOT / "include" / "pipelines" / "employees.yaml").read_text())
    employees["enrich"]["geocode"]["geocoder"] = "offline"  # the default if there is no Google key
    (files / "employees.yaml").write_text(yaml.safe_dump(employees))
    for file in (Path(__file__).parent / "pipelines").glob("*.yaml"):
        (files / file.name).write_bytes(file.read_bytes())


@dataclass(frozen=True)
class Outcome:
    """A run of the people pipeline, and the state of everything when it had ended."""

    run: Run
    silver: dict
    gold: dict
    watermark: dict | None
    calls: list
    issues: dict


@pytest.fixture(scope="package")
def begun(deployment) -> dict[str, Run]:
    """
    Trigger the first run of each pipeline in parallel: one of them will wait for long.

    Google does not answer for one postcode of the people's, and cannot read another.
    """
    places = [*people.FOUND, people.FAILING, people.UNREADABLE, people.FOUND[0], ("US", None)]
    deployment.sql(people.DDL)
    deployment.insert("people", *(people.person(n, place) for n, place in enumerate(places, start=1)))
    deployment.insert("employees", *({"id": n, "postcode": code} for n, code in ADDED.items()))
    if CSV.exists():
        _fill_adventureworks(deployment)
    deployment.google.fail("503", postcode=people.FAILING[1], retry_after="0")
    deployment.google.fail("INVALID_REQUEST", postcode=people.UNREADABLE[1])
    names = ["people", "employees", *(["adventureworks"] if CSV.exists() else [])]
    return {name: deployment.begin(name) for name in names}


@pytest.fixture(scope="package")
def failed(deployment, begun) -> Outcome:
    """Wait for the people pipeline to fail, and for the report of it."""
    run = begun["people"].ended()
    wait(lambda: any("reason" in event["tags"] for event in _events(deployment, run)))
    return _outcome(deployment, run)


@pytest.fixture(scope="package")
def recovered(deployment, failed) -> Outcome:
    """Clear the failed run once Google answers."""
    deployment.google.faults.clear()
    deployment.google.fail("INVALID_REQUEST", postcode=people.UNREADABLE[1])
    return _outcome(deployment, failed.run.rerun_failed())


@pytest.fixture(scope="package")
def refused(deployment, recovered) -> Outcome:
    """Run the people pipeline with a new row while Google refuses the key."""
    deployment.insert("people", people.person(21, people.REFUSED))
    deployment.google.fail("REQUEST_DENIED")
    run = deployment.run("people")
    deployment.google.faults.clear()
    wait(lambda: any("reason" in event["tags"] for event in _events(deployment, run)))
    return _outcome(deployment, run)


@pytest.fixture(scope="package")
def clash(deployment, refused) -> str:
    """Run into a Silver table with a column of another type; returns the log of the load that refused it."""
    with closing(stack.snowflake.start(deployment.state).connect()) as connection:
        connection.cursor().execute("CREATE TABLE CLASH (ID BIGINT, EMAIL INTEGER, _VERSION BIGINT)")
    run = deployment.begin("clash")
    load = wait(lambda: _retrying(run.tasks), seconds=120)
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}"
    run.api.call("PATCH", path, json={"state": "failed"})
    log = run.api.call("GET", f"{path}/taskInstances/{load['task_id']}/logs/1", params={"map_index": -1})
    return f"{load['task_id']}\n{log}"


def _fill_adventureworks(deployment: Deployment) -> None:
    names = CSV.read_text().splitlines()[0].split(",")
    types = {"id": "int PRIMARY KEY", "department_id": "smallint", "gender": "char(1)", "employment_start": "date"}
    columns = ", ".join(f"{name} {types.get(name, 'text')}" for name in names)
    deployment.sql(f"CREATE TABLE adventureworks ({columns})")
    deployment.copy("adventureworks", CSV)


def _retrying(tasks: list[dict]) -> dict | None:
    return next((task for task in tasks if task["state"] in ("up_for_retry", "failed")), None)


def _outcome(deployment: Deployment, run: Run) -> Outcome:
    silver, gold = deployment.silver("people"), deployment.gold("people")
    calls = [call for call in deployment.google.calls if call.api == "geocoding"]
    return Outcome(run, silver, gold, deployment.watermark("people"), calls, deployment.issues("people"))


def _events(deployment: Deployment, run: Run) -> list[dict]:
    return [event for event in deployment.sentry.events if event["tags"].get("run_id") == run.run_id]
