"""
What a mapped task costs Airflow: one of docs/scaling.md's claims, with a whole Airflow of its own.

    PYTHONPATH=. .venv/bin/python benchmarks/mapped_tasks.py

Runs a DAG whose mapped tasks do nothing, by few and by many of them, and divides what the many took more: CPU seconds
of all Airflow's processes, those of ended tasks included.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import mkdtemp

import psutil

from include.sandbox import client, postgres, processes, stack
from include.sandbox.processes import Daemon

FEW, MANY = 8, 136
DAG = """
from airflow.sdk import dag, task


@dag(schedule=None, params={"parts": 1})
def nothing():
    @task
    def parts(params):
        return list(range(params["parts"]))

    @task
    def part(n):
        return n

    part.expand(n=parts())


nothing()
"""


def main() -> None:
    """Print the seconds of each run, and the cost of one more mapped task."""
    state = Path(mkdtemp(prefix="medallion-mapped-"))
    (state / "dags").mkdir()
    (state / "dags" / "nothing.py").write_text(DAG)
    try:
        settings = stack.up(state, print, 0, {"AIRFLOW__CORE__DAGS_FOLDER": str(state / "dags")})
        api = client.login(settings)
        client.await_dag(api, "nothing", state / "dags")
        run(api, state, FEW)  # the first run of a process loads what later ones find
        few, many = run(api, state, FEW), run(api, state, MANY)
        cpu, wall = ((much - little) / (MANY - FEW) for little, much in zip(few, many, strict=True))
        print(f"one more mapped task: {cpu:.2f} CPU seconds, {wall:.2f} seconds of the run")
    finally:
        stack.down(state, print)
        postgres.discard(state)
        shutil.rmtree(state, ignore_errors=True)


def run(api: client.Api, state: Path, parts: int) -> tuple[float, float]:
    """Run the DAG once; return CPU and wall seconds."""
    cpu, begun = spent(state), time.perf_counter()
    run_id = client.trigger(api, "nothing", {"parts": parts})
    if client.watch(api, "nothing", run_id, lambda _: None, 900) != "success":
        raise RuntimeError("\n".join(client.failures(api, "nothing", run_id)))
    return spent(state) - cpu, time.perf_counter() - begun


def spent(state: Path) -> float:
    """Return the CPU seconds of Airflow's processes so far, with those of children that have ended."""
    roots = (
        processes.running(Daemon(state, f"airflow-{name}"))
        for name in ("api-server", "scheduler", "dag-processor", "triggerer")
    )
    return sum(sum(p.cpu_times()[:4]) for root in roots for p in family(root))


def family(root: psutil.Process) -> list[psutil.Process]:
    """List a process and all below it that are still there."""
    return [p for p in (root, *root.children(recursive=True)) if p.is_running()]


if __name__ == "__main__":
    main()
