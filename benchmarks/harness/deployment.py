"""A whole Airflow with a pipeline over the benchmark's table: started, watched, measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import psutil
import yaml

from benchmarks.harness import employees
from benchmarks.harness.contest import PIPELINE
from benchmarks.harness.servers import ROOT, Servers, end_politely, folder
from include.medallion.config import connections as connection_settings
from include.sandbox import client, postgres, processes, s3, stack
from include.sandbox.processes import Daemon
from include.sandbox.settings import join

DATABASE = "bronze"
SECONDS_PER_RUN = 1800


@dataclass(frozen=True)
class Deployment:
    """A running Airflow and what it works on."""

    servers: Servers
    settings: Mapping[str, str]
    api: client.Api


@contextmanager
def deployed(rows: int, pipelines: int, schedule: str = "manual", read: str = "xmin") -> Iterator[Deployment]:
    """
    Start everything with so many rows in Bronze, and as many pipelines over them, each into tables of its own.

    At the end all is stopped and deleted, and the environment of this process is as before.

    Args:
        schedule: of all DAGs.
        read: how the pipelines read the source, xmin or log.

    Raises:
        DiskTooSmall: there is no room for so many rows.
    """
    end_politely()
    state = folder(rows)
    before = dict(os.environ)
    extra = {"MEDALLION_PIPELINES": str(_files(state, pipelines, read)), "MEDALLION_SCHEDULE": schedule}
    try:
        bronze = postgres.start(state, DATABASE)
        postgres.create_database(bronze, DATABASE)
        there = Servers(state, bronze, s3.start(state), DATABASE)
        employees.fill(there, rows)
        employees.publish(there)
        settings = stack.up(state, _quiet, 0, extra)
        join(settings)
        yield Deployment(there, settings, client.login(settings))
    finally:
        stack.down(state, _quiet)
        postgres.discard(state)
        shutil.rmtree(state, ignore_errors=True)
        os.environ.clear()  # its certificate is gone, which other clients would look for
        os.environ.update(before)


def run(deployment: Deployment, name: str, meanwhile: Callable[[], None] = lambda: None) -> dict:
    """
    Run a pipeline's DAG once and return what it took.

    Args:
        meanwhile: done once the run is on its way.

    Returns:
        wall in seconds from the request to the end, `tasks`: seconds of each (its last try), `tries`, peak_mb of all
        task processes together.
    """
    dag = f"medallion_{name}"
    with _workers(deployment.servers.state) as peak:
        run_id = _success(deployment, dag, {}, meanwhile)
    about = deployment.api.call("GET", f"dags/{dag}/dagRuns/{run_id}")
    tasks = client.tasks(deployment.api, dag, run_id)
    return {
        "wall": _seconds(about["queued_at"], about["end_date"]),
        "peak_mb": peak["bytes"] / 1e6,
        "tasks": {client.name(t): t["duration"] for t in tasks if t["duration"] is not None},
        "tries": {client.name(t): t["try_number"] for t in tasks},
    }


def forget(deployment: Deployment, name: str) -> None:
    """Delete what a pipeline has written: its table in both sinks, and its staging."""
    root = urlsplit(deployment.settings["AWS_URI"]).path.lstrip("/")
    for prefix in (name, f"_staging/{name}"):
        deployment.servers.discard(f"{root}/{prefix}")
    with closing(
        connection_settings.connect_snowflake(connection_settings.read_connection("silver", deployment.settings))
    ) as connection:
        connection.cursor().execute(f"DROP TABLE {name.upper()}")


def trial(deployment: Deployment, name: str) -> None:
    """Run a pipeline's DAG with a hundred rows: what Airflow does for the first time, it does here."""
    _success(deployment, f"medallion_{name}", {"max_rows": 100})


def kill_task(deployment: Deployment) -> None:
    """Kill the task's process that has the most memory."""
    scheduler = processes.running(Daemon(deployment.servers.state, "airflow-scheduler"))
    max(scheduler.children(recursive=True), key=_task_bytes).kill()


def _success(deployment: Deployment, dag: str, params: dict, meanwhile: Callable[[], None] = lambda: None) -> str:
    client.await_dag(deployment.api, dag, ROOT)
    run_id = client.trigger(deployment.api, dag, params)
    meanwhile()
    if client.watch(deployment.api, dag, run_id, _quiet, SECONDS_PER_RUN) != "success":
        raise RuntimeError("\n".join(client.failures(deployment.api, dag, run_id)))
    return run_id


@contextmanager
def _workers(state: Path) -> Iterator[dict[str, int]]:
    """Watch the memory of the processes that run tasks, all together."""
    peak, ended = {"bytes": 0}, Event()
    scheduler = processes.running(Daemon(state, "airflow-scheduler"))

    def watch() -> None:
        while not ended.wait(0.1):
            peak["bytes"] = max(peak["bytes"], sum(_task_bytes(p) for p in scheduler.children(recursive=True)))

    thread = Thread(target=watch, daemon=True)
    thread.start()
    yield peak
    ended.set()
    thread.join()


def _task_bytes(process: psutil.Process) -> int:
    """Return the memory that belongs to a task's process alone; nothing of an idle worker's."""
    try:
        return process.memory_full_info().uss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _files(state: Path, pipelines: int, read: str) -> Path:
    folder = state / "pipelines"
    folder.mkdir()
    for n in range(pipelines):
        tables = {"silver": {"table": f"EMPLOYEES_{n}"}, "gold": {"table": f"employees_{n}"}}
        at_once = {"parts": {"max_parallel_parts": os.cpu_count()}}
        source = {"source": {**PIPELINE["source"], "read": read}}
        described = {k: v for k, v in PIPELINE.items() if k != "name"} | source | tables | at_once
        (folder / f"employees_{n}.yaml").write_text(yaml.safe_dump(described))
    return folder


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _quiet(_: str) -> None:
    return
