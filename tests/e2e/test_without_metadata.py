"""Airflow's database is lost: the sinks still know their positions. These tests come last: Airflow's state is gone."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from include.sandbox import airflow, postgres
from include.sandbox.stack import ROOT

from . import replays
from .deployment import Run

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything


@pytest.fixture(scope="module")
def reborn(deployment) -> Run:
    """Load rows, lose the whole database, change one row and add one; return the run of the new Airflow."""
    deployment.sql(replays.DDL)
    replays.put(deployment, 7, *range(11))
    assert deployment.run(replays.NAME).state == "success"
    lose_metadata(deployment)
    replays.put(deployment, 8, 5, 11)
    return deployment.run(replays.NAME)


def lose_metadata(deployment) -> None:
    """Stop Airflow, drop its database, and start it with an empty one."""
    airflow.stop(deployment.state)
    metadata = postgres.start(deployment.state, "airflow")
    with psycopg.connect(metadata.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {airflow.DATABASE} WITH (FORCE)")
    postgres.create_database(metadata, airflow.DATABASE)
    (deployment.state / "airflow" / "migrated").unlink()
    airflow.prepare(deployment.settings, metadata)
    airflow.start(deployment.state, deployment.settings)


def test_a_lost_airflow_database_loses_and_doubles_nothing(reborn, deployment):
    """The first run of an empty Airflow reads the two new rows; all is equal by value, each key was paid for once."""
    assert (reborn.state, reborn.summary.read) == ("success", 2)
    after = replays.snapshot(deployment)
    assert {i for i, row in after.gold.items() if row["_batch_id"] == reborn.summary.batch_id} == {5, 11}


def test_an_airflow_without_a_past_finds_nothing_more(reborn, deployment):
    """The next run finds nothing new, and remembers Silver's position."""
    before = replays.snapshot(deployment)
    assert deployment.run(replays.NAME).summary is None
    assert replays.snapshot(deployment) == before


def test_one_process_runs_a_dag_without_a_scheduler(reborn, deployment):
    """`python dags/medallion.py <pipeline>` brings a changed row, for a debugger; its exit code is that of the run."""
    before = reborn.summary.batch_id
    airflow.stop(deployment.state)
    postgres.start(deployment.state, "airflow")
    replays.put(deployment, 9, 3)
    command, settings = [sys.executable, "dags/medallion.py"], deployment.settings
    done = subprocess.run([*command, replays.NAME], env=settings, cwd=ROOT, check=False, timeout=300)
    assert done.returncode == 0
    assert deployment.gold(replays.NAME)[3]["_batch_id"] > before
    unnamed = subprocess.run(command, env=settings, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert unnamed.returncode == 1
    assert replays.NAME in unnamed.stderr
