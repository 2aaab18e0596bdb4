"""
Parse `dags/` as Airflow's dag-processor does, and print the result as JSON.

    python parse_dags.py ROOT '[{"MEDALLION_PIPELINES": "..."}, ...]'

One result for each environment, each from a fork of its own that has imported
Airflow and parsed a small DAG, but none of ours. No fork can connect anywhere.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

SMALL = """
from airflow.sdk import Asset, Param, dag, get_current_context, task
from airflow.sdk.bases.notifier import BaseNotifier

@dag("small", params={"p": Param(1)})
def small():
    @task(inlets=[Asset("a")])
    def one():
        pass
    one()

small()
"""
ROOT = Path(sys.argv[1])


def main() -> None:
    """Parse once for each environment."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "small.py").write_text(SMALL)
        assert DagBag(folder, bundle_name="small").size() == 1
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        results = pool.map(parse, json.loads(sys.argv[2]), chunksize=1)
    print(json.dumps(results))  # the last line: Airflow logs to the same stream


def parse(environment: dict[str, str]) -> dict:
    """Parse in this process, with these variables set."""
    os.environ.update(environment)
    tried: list[str] = []
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refuse(tried))
    before, begun = set(sys.modules), time.perf_counter()
    bag = DagBag(ROOT / "dags", bundle_name="dags-folder")
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "errors": bag.import_errors,
        "connections": tried,
        "modules": sorted(set(sys.modules) - before),
        "dags": {dag_id: describe(dag) for dag_id, dag in bag.dags.items()},
    }


def refuse(tried: list[str]) -> object:
    """Return a method that raises instead of connecting, and remembers the address."""

    def connect(_: socket.socket, address: object) -> None:
        tried.append(str(address))
        raise PermissionError("parsing a DAG needs no network")

    return connect


def describe(dag: object) -> dict:
    """Return what the tests check of a DAG."""
    return {
        "schedule": _schedule(dag.schedule),
        "deadline": [(alert.interval.total_seconds(), alert.callback.path) for alert in dag.deadline or ()],
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "doc": dag.doc_md,
        "description": dag.description,
        "owner": dag.owner,
        "tags": sorted(dag.tags),
        "params": {name: {"value": p.value, **p.schema} for name, p in dag.params.items()},
        "callback": _names(dag.on_failure_callback),
        "order": [task.task_id for task in dag.topological_sort()],
        "tasks": {task.task_id: _task(task) for task in dag.tasks},
    }


def _schedule(schedule: object) -> object:
    if schedule is None or isinstance(schedule, str):
        return schedule
    (asset,) = schedule.asset_condition.objects
    (watcher,) = asset.watchers
    return [schedule.timetable.delta.total_seconds(), asset.name, *watcher.trigger.serialize()]


def _task(task: object) -> dict:
    return {
        "upstream": sorted(task.upstream_task_ids),
        "mapped": task.is_mapped,
        "retries": task.retries,
        "policy": type(task.retry_policy).__name__,
        "callback": _names(task.on_failure_callback),
        "retry_callback": _names(task.on_retry_callback),
        "max_parallel": task.max_active_tis_per_dag,
        "assets": [{"name": a.name, "uri": a.uri} for a in (*task.inlets, *task.outlets)],
    }


def _names(callbacks: object) -> list[str]:
    every = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [getattr(callback, "__name__", type(callback).__name__) for callback in every]


if __name__ == "__main__":
    main()
