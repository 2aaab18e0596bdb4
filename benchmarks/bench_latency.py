"""Measure how long a new row takes from INSERT to Gold under the real scheduler."""

from __future__ import annotations

import random
import time
from datetime import datetime
from statistics import median, quantiles
from typing import Annotated

import typer
from deltalake import DeltaTable

from benchmarks.harness import employees
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.options import Rows
from benchmarks.harness.results import Question, keep
from benchmarks.harness.servers import ROOT
from include.sandbox import client

DAG = "medallion_employees_0"
STEPS = ("open_window", "extract", "enrich", "load_silver", "write_gold")
SECONDS_TO_WAIT, ROWS_PER_SECOND = 300, 5_000


def main(
    rows: Rows = 10_000,
    inserts: Annotated[int, typer.Option(min=2, help="how many rows are watched")] = 20,
    schedule: Annotated[str, typer.Option(help="of the DAG: @continuous, on_change or cron")] = "@continuous",
    read: Annotated[str, typer.Option(help="how the source is read: xmin or log")] = "xmin",
) -> None:
    """Insert a row at a random moment, wait until a reader of Gold sees it, and again."""
    with deployed(rows, 1, schedule, read) as there:
        client.await_dag(there.api, DAG, ROOT)
        _arrival(there, rows, SECONDS_TO_WAIT + rows // ROWS_PER_SECOND)
        seconds = []
        for n in range(inserts):
            time.sleep(random.uniform(0, 5))
            employees.insert(there.servers, 1)
            begun = time.perf_counter()
            _arrival(there, rows + n + 1)
            seconds.append(time.perf_counter() - begun)
            print(f"row {n}: {seconds[-1]:.1f} s", flush=True)
        tasks = _tasks(there)
    about = {"schedule": schedule, "read": read, "inserts": inserts, "seconds": seconds, "tasks": tasks}
    keep(Question.LATENCY, rows, about, _table(rows, about))


def _arrival(there: Deployment, key: int, seconds: float = SECONDS_TO_WAIT) -> None:
    """Wait until Gold holds the row of this key."""
    uri, deadline = f"{there.settings['AWS_URI']}/employees_0", time.monotonic() + seconds
    while not _holds(uri, there, key):
        if time.monotonic() > deadline:
            raise RuntimeError(f"row {key} is not in Gold after {seconds:.0f} s")
        time.sleep(0.1)


def _holds(uri: str, there: Deployment, key: int) -> bool:
    if not DeltaTable.is_deltatable(uri, storage_options=there.servers.lake.options):
        return False
    rows = DeltaTable(uri, storage_options=there.servers.lake.options).get_add_actions(flatten=True)
    largest = rows.column("max.id").to_pylist() if "max.id" in rows.schema.names else []
    return any(value is not None and value >= key for value in largest)


def _tasks(there: Deployment) -> dict[str, dict[str, float]]:
    """Return, of runs that carried rows, the median seconds that each task waited and worked."""
    runs = there.api.call("GET", f"dags/{DAG}/dagRuns", params={"limit": 100, "order_by": "-start_date"})["dag_runs"]
    found: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    for run in runs:
        tasks = [t for t in client.tasks(there.api, DAG, run["dag_run_id"]) if t["state"] == "success"]
        if {t["task_id"] for t in tasks} >= set(STEPS):
            before = _moment(run["start_date"])
            for task in (t for t in tasks if t["task_id"] in found):
                start, end = _moment(task["start_date"]), _moment(task["end_date"])
                found[task["task_id"]].append((start - before, end - start))
                before = end
    return {s: {"waits": median(w for w, _ in p), "works": median(d for _, d in p)} for s, p in found.items() if p}


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _table(rows: int, about: dict) -> str:
    tail = quantiles(about["seconds"], n=20, method="inclusive")[-1]
    how = f"schedule {about['schedule']}, read: {about['read']}"
    lines = [
        f"### latency: {how}, {rows:,} rows in the table, {about['inserts']} inserts",
        "",
        f"INSERT to Gold: median {median(about['seconds']):.1f} s, 95th percentile {tail:.1f} s",
        "",
        "| task | waits before, s | works, s |",
        "|---|--:|--:|",
        *(f"| {name} | {t['waits']:.2f} | {t['works']:.2f} |" for name, t in about["tasks"].items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
