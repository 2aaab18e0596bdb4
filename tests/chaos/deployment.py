"""How the deployment is made: every server is real, every connection has a proxy, every task can be killed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from include.sandbox import client, postgres, private, snowflake, stack
from include.sandbox.google import KEY, Google, serving

from . import workload
from .cluster import DAG, Cluster, actions, until
from .faults import FaultInjector
from .proxy import Proxy

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PIPELINE = """
source: {table: chaos, key: id, read: %s}
enrich: {geocode: {postcode: postcode, country: US, geocoder: google_geocoding, calls_per_second: 400, concurrency: 4,
                   timeout_seconds: 3}}
silver: {table: CHAOS}
gold: {table: chaos}
parts: {keys_per_part: 80, max_parts: 3, max_parallel_parts: 3, chunk_mb: 1}
"""
SHORTER = """
# the product's DAG file for this Airflow, with shorter waits and more tries: there are many kills
from datetime import timedelta
from pathlib import Path

from medallion_defaults import SETTINGS
from medallion_retries import PatientRetries

assert {"retry_delay", "retry_policy"} <= SETTINGS["default_args"].keys()
SETTINGS["default_args"] |= {"retries": 12, "retry_policy": PatientRetries(1.0, 5.0)}
SETTINGS["default_args"]["retry_delay"] = timedelta(seconds=0.5)
exec(compile(Path("%s").read_text(), "medallion.py", "exec"))
"""
QUICKER = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}
NOT_THE_CALLERS = ("MEDALLION_", "AWS_", "AIRFLOW", "SENTRY_", "GOOGLE_", "CHAOS_")
LATENCY = 0.03  # seconds, of Google: calls are in flight at any moment


@contextmanager
def deployed(state: Path, rows: int, say: Callable[[str], None], read: str = "xmin") -> Iterator[Cluster]:
    """Start everything, with so many rows in the source, which is read in this way, and stop it at the end."""
    with ExitStack() as stack_, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(NOT_THE_CALLERS)]:
            patch.delenv(name)
        google = stack_.enter_context(serving(latency=LATENCY))
        proxies = {name: Proxy(port) for name, port in _ports(state, google).items()}
        cluster = Cluster(state, google, proxies)
        _write_project(state / "project", read)
        cluster.faults = FaultInjector(state / "chaos", actions(cluster))
        try:
            cluster.settings = stack.up(state, say, 10, _extra(cluster))
            patch.setenv("REQUESTS_CA_BUNDLE", cluster.settings["REQUESTS_CA_BUNDLE"])
            workload.seed(cluster.dsn, rows, _postcodes(state)[:300])
            client.await_dag(client.login(cluster.settings), DAG, state / "project")
            yield cluster
        finally:
            cluster.faults.close()
            cluster.end_orphans()
            stack.down(state, say)
            postgres.discard(state)
            for proxy in proxies.values():
                proxy.close()


@contextmanager
def writing(cluster: Cluster) -> Iterator[Callable[[bool], None]]:
    """Run the workload; yields a switch: `pause(True)` returns when all its transactions have ended."""
    folder = cluster.state / "workload"
    command = [sys.executable, "-m", "tests.chaos.workload", cluster.dsn, folder]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def pause(wish: bool) -> None:
        if not wish:
            (folder / "pause").unlink()
            return
        (folder / "pause").touch()
        until(lambda: len(list(folder.glob("quiet-*"))) == len(workload.HABITS), 180)

    yield pause
    (folder / "stop").touch()
    process.wait(30)
    assert process.returncode == 0, (folder / "log").read_text()


def _ports(state: Path, google: Google) -> dict[str, int]:
    """Choose the servers' ports before they start, so that their proxies are known by then."""
    names = {"bronze": "postgres-bronze", "silver": snowflake.NAME, "s3": "s3-s3"}
    return {name: private.port(state, kept) for name, kept in names.items()} | {"google": google.server_port}


def _extra(cluster: Cluster) -> dict[str, str]:
    """Return the settings that lead every task through the proxies, and wrap the functions of the points."""
    ports, temporary = {name: proxy.port for name, proxy in cluster.proxies.items()}, cluster.state / "tmp"
    temporary.mkdir()
    return {
        **QUICKER,
        "AIRFLOW__CORE__DAGS_FOLDER": str(cluster.state / "project" / "dags"),
        "MEDALLION_PIPELINES": str(cluster.state / "project" / "include" / "pipelines"),
        "PYTHONPATH": f"{HERE / 'inject'}:{ROOT}",
        "CHAOS_FOLDER": str(cluster.state / "chaos"),
        "TMPDIR": str(temporary),
        "PYTHONDONTWRITEBYTECODE": "",  # hundreds of processes would compile what they import
        "AIRFLOW_CONN_BRONZE": replace(cluster.bronze, port=ports["bronze"])
        .uri("bronze")
        .replace("postgresql", "postgres"),
        "AIRFLOW_CONN_SILVER": replace(cluster.silver, port=ports["silver"]).airflow(),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "GOOGLE_API_KEY": KEY,
        "GOOGLE_GEOCODING_URL": cluster.google.geocoding_url.replace(
            str(cluster.google.server_port), str(ports["google"])
        ),
    }


def _write_project(project: Path, read: str) -> None:
    """Make a project folder: the product's DAG with shorter waits, and one pipeline file."""
    dags, files = project / "dags", project / "include" / "pipelines"
    dags.mkdir(parents=True)
    files.mkdir(parents=True)
    (dags / "medallion.py").write_text(SHORTER % (ROOT / "dags" / "medallion.py"))
    (files / "chaos.yaml").write_text(PIPELINE % read)


def _postcodes(state: Path) -> list[str]:
    """Choose all postcodes, in the order in which the workload uses them."""
    from zipcodes import list_all  # noqa: PLC0415 (takes a second)

    chosen = sorted(row["zip_code"] for row in list_all() if float(row["lat"] or 0) and float(row["long"] or 0))
    random.Random(1).shuffle(chosen)
    folder = state / "workload"
    folder.mkdir()
    (folder / "postcodes").write_text("\n".join(chosen))
    return chosen


def discard(state: Path) -> None:
    """Delete a deployment's folder."""
    shutil.rmtree(state, ignore_errors=True)
