"""`make servers`, `make query` and `make down`, as a person types them, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.sandbox import postgres as postgres_server
from include.sandbox import settings, stack
from tests.chaos.cluster import until

ROOT = Path(__file__).parents[2]
NOT_THE_CALLERS = ("MEDALLION_", "AWS_", "AIRFLOW", "SENTRY_", "GOOGLE_", "MAKE", "MFLAGS", "FORMAT", "PIPELINE")
SCHEDULE = "* * * * *"
INTERRUPTED = 130


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a shell that knows nothing of a sandbox."""
    return {k: v for k, v in os.environ.items() if not k.startswith(NOT_THE_CALLERS)} | more


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """Make a clone, in a folder with a space in its name, whose sandbox is stopped at the end."""
    clone = tmp_path_factory.mktemp("a clone")
    (clone / ".venv").symlink_to(sys.prefix)
    (clone / "Makefile").symlink_to(ROOT / "Makefile")
    shutil.copytree(ROOT / "include", clone / "include", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dags", "plugins"):
        (clone / name).symlink_to(ROOT / name)
    employees = (clone / "include" / "pipelines" / "employees.yaml").read_text()
    other = employees.replace("source:\n", "source:\n  connection: northwind\n")
    other = other.replace("table: EMPLOYEES_ENRICHED", "table: CUSTOMERS").replace("employees_enriched", "customers")
    (clone / "include" / "pipelines" / "customers.yaml").write_text(other)
    yield clone
    stack.down(clone / ".sandbox", print)
    postgres_server.discard(clone / ".sandbox")


@pytest.fixture(scope="module")
def make(project, postgres) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs `make` in the clone, with a connection and a schedule of the caller's own."""
    postgres_server.create_database(postgres, "northwind")
    own = {"AIRFLOW_CONN_NORTHWIND": postgres.uri("northwind"), "MEDALLION_SCHEDULE": SCHEDULE}

    def run(*words: str) -> subprocess.CompletedProcess:
        command = ["make", "-s", "-o", ".venv/sandbox", *words]
        return subprocess.run(
            command, cwd=project, env=environment(**own), capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture(scope="module")
def served(make) -> str:
    """Start the servers; returns what was printed."""
    started = make("servers", "ROWS=50")
    assert started.returncode == 0, started.stderr
    return started.stdout


def test_servers_run_without_airflow(project, served):
    """Source and sinks run, none of Airflow's processes does."""
    alive = {name for name, runs in stack.running(project / ".sandbox").items() if runs}
    assert alive == {"postgres-bronze", "s3", "snowflake"}
    assert "make down" in served


def test_a_shell_joins_the_servers(project, served):
    """With `.sandbox/env` exported, the core's commands reach source and sinks."""
    script = "set -a; . .sandbox/env; set +a; .venv/bin/python -m include.medallion run employees"
    done = subprocess.run(
        ["sh", "-c", script], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert "50 rows read" in done.stdout, done.stderr


def test_the_callers_settings_are_kept(project, served, postgres):
    """A schedule with stars and a connection of the caller's own are among the settings."""
    chosen = settings.read(project / ".sandbox")
    assert chosen["MEDALLION_SCHEDULE"] == SCHEDULE
    assert chosen["AIRFLOW_CONN_NORTHWIND"] == postgres.uri("northwind")


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_a_query_prints_json_lines(make, served, layer):
    """One object per row, with dates and decimals as text."""
    statement = "SELECT 1 AS n, DATE '2020-01-02' AS d, CAST(1.5 AS NUMERIC(4, 2)) AS c"
    (line,) = make("query", f"LAYER={layer}", "FORMAT=json", f"SQL={statement}").stdout.splitlines()
    row = {name.lower(): value for name, value in json.loads(line).items()}
    assert row == {"n": 1, "d": "2020-01-02", "c": "1.50"}


def test_a_query_asks_the_pipelines_own_bronze(make, served, postgres):
    """`make query LAYER=bronze` reads the Postgres that the pipeline reads, and says which one that is."""
    asked = make("query", "PIPELINE=customers", "LAYER=bronze", "FORMAT=json", "SQL=SELECT current_database() AS name")
    assert json.loads(asked.stdout) == {"name": "northwind"}
    assert "asking connection northwind of pipeline customers" in asked.stderr


@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_a_wrong_statement_is_one_message(make, served, layer):
    """The server's reason is printed, without a traceback."""
    refused = make("query", f"LAYER={layer}", "SQL=SELECT no_such_column")
    assert refused.returncode != 0
    assert "no_such_column" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr


def test_down_stops_the_servers(make, project, served):
    """Nothing of the sandbox runs any more."""
    assert make("down").returncode == 0
    assert not any(stack.running(project / ".sandbox").values())


def interrupt(project: Path, name: str) -> subprocess.CompletedProcess:
    """Press Ctrl-C during `make up`, once a process of this name runs; returns how it ended and what it printed."""
    with subprocess.Popen(
        [".venv/bin/python", "-m", "include.sandbox", "up", "--rows", "50"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # the signal reaches all that a terminal's Ctrl-C reaches
    ) as starting:
        until(lambda: stack.running(project / ".sandbox")[name])
        os.killpg(starting.pid, signal.SIGINT)
        printed = starting.communicate(timeout=120)[0]
    return subprocess.CompletedProcess([], starting.returncode, printed)


def test_an_interrupted_start_leaves_nothing_and_says_so(project, make):
    """Ctrl-C during `make up` stops the servers that it started."""
    make("down")
    ended = interrupt(project, "s3")
    assert ended.returncode == INTERRUPTED
    assert "stopping the sandbox" in ended.stdout
    assert not any(stack.running(project / ".sandbox").values())


def test_an_interrupted_start_keeps_what_ran_before(project, make):
    """Servers that `make servers` started survive Ctrl-C during `make up`."""
    make("servers", "ROWS=50")
    ended = interrupt(project, "postgres-airflow")
    assert "stopping what was started" in ended.stdout
    alive = {name for name, runs in stack.running(project / ".sandbox").items() if runs}
    assert alive == {"postgres-bronze", "s3", "snowflake"}
