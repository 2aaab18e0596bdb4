"""Measure how soon a committed row is visible in Gold, under the real scheduler and with tools that go on working."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from statistics import median, quantiles
from typing import Annotated

import typer

from benchmarks.harness import contest, employees, residents
from benchmarks.harness.arrival import Plan, watch
from benchmarks.harness.contest import Contender
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.options import Only, Rows, chosen, size
from benchmarks.harness.results import Question, keep
from benchmarks.harness.servers import ROOT, servers
from include.sandbox import client

DAG = "medallion_employees_0"
STEPS = ("open_window", "extract", "enrich", "load_silver", "write_gold")
IN_AIRFLOW = Contender("medallion in Airflow", "", "employees_0", enriches=True)
RESIDENT = replace(contest.DEBEZIUM, settings={"resident": True})
LOOPS = (contest.BY_LOG, contest.DUCKDB, contest.POLARS, contest.DLT_FASTER)
"""Scripts that are run again as soon as they have ended."""


def main(
    rows: Rows = 10_000,
    inserts: Annotated[int, typer.Option(min=2, help="how many single rows are watched")] = 20,
    many: Annotated[int, typer.Option(parser=size, metavar="10k", help="rows of the one large transaction")] = 10_000,
    idle: Annotated[float, typer.Option(min=1, help="seconds without a change")] = 15,
    schedule: Annotated[str, typer.Option(help="of the DAG: @continuous, on_change or cron")] = "@continuous",
    read: Annotated[str, typer.Option(help="how the DAG reads the source: xmin or log")] = "xmin",
    only: Only = None,
) -> None:
    """Commit a row at a random moment, wait until a reader of Gold sees it, and again; then many rows at once."""
    able, plan = chosen([IN_AIRFLOW, RESIDENT, *LOOPS], only, rows), Plan(inserts, many, idle)
    found, tasks = {}, {}
    if IN_AIRFLOW in able:
        with deployed(rows, 1, schedule, read) as there:
            client.await_dag(there.api, DAG, ROOT)
            running, name = residents.in_airflow(there.servers.state), f"{IN_AIRFLOW.name}, {schedule}, read: {read}"
            found[name] = watch(there.servers, IN_AIRFLOW, "medallion", running, plan)
            tasks = _tasks(there)
    if others := [contender for contender in able if contender is not IN_AIRFLOW]:
        found |= _others(rows, others, plan)
    about = {"schedule": schedule, "read": read, **vars(plan), "contenders": found, "tasks": tasks}
    keep(Question.LATENCY, rows, about, _table(rows, about))


def _others(rows: int, able: list[Contender], plan: Plan) -> dict[str, dict]:
    """Let contenders keep a Gold up to date, one after the other."""
    found = {}
    with servers(rows) as there:
        employees.fill(there, rows)
        employees.publish(there)
        for contender in able:
            with residents.resident(there, contender) as running:
                name = contender.name if contender is RESIDENT else f"{contender.name}, run in a loop"
                found[name] = watch(there, contender, contender.slug, running, plan)
            there.discard(contender.slug)
    return found


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
    lines = [
        f"### latency: {rows:,} rows in the table, {about['inserts']} single rows",
        "",
        "Seconds from COMMIT until a reader of the Delta log sees the rows; memory and cores while nothing changes.",
        "",
        f"| | one row, median | 95th percentile | {about['many']:,} rows at once | idle, MB | idle, cores |",
        "|---|--:|--:|--:|--:|--:|",
        *(_line(name, row) for name, row in about["contenders"].items()),
        "",
    ]
    if about["tasks"]:
        lines += ["| task in Airflow | waits before, s | works, s |", "|---|--:|--:|"]
        lines += [f"| {name} | {t['waits']:.2f} | {t['works']:.2f} |" for name, t in about["tasks"].items()]
    return "\n".join([*lines, ""])


def _line(name: str, row: dict) -> str:
    if row["fault"]:
        return f"| {name} | void: {row['fault']} |"
    tail = quantiles(row["seconds"], n=20, method="inclusive")[-1]
    times = [f"{seconds:.2f}" for seconds in (median(row["seconds"]), tail, row["transaction"])]
    return "| " + " | ".join([name, *times, f"{row['idle']['memory_mb']:,.0f}", f"{row['idle']['cores']:.2f}"]) + " |"


if __name__ == "__main__":
    typer.run(main)
