"""
Memory of each task of a run, in the real Airflow: what containers and pods must have.

    PYTHONPATH=. .venv/bin/python benchmarks/measure_memory.py [ROWS]

PSS shares what a forked process has in common with others among them; RSS does
not. A pod of its own (KubernetesExecutor) needs the RSS, and the supervisor's.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

import psutil

from include.sandbox import client, postgres, processes, stack
from include.sandbox.processes import Daemon

DAG = "medallion_employees"
MIB = 1 << 20


def main() -> None:
    """Start everything, watch one run, print the table, stop everything."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    state = Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        settings = stack.up(state, print, rows)
        scheduler = processes.running(Daemon(state, "airflow-scheduler"))
        api, done, most = client.login(settings), threading.Event(), defaultdict(lambda: (0, 0))
        watcher = threading.Thread(target=watch, args=(scheduler, done, most))
        watcher.start()
        client.await_dag(api, DAG, stack.ROOT)
        run_id = client.trigger(api, DAG, {})
        state_at_end = client.watch(api, DAG, run_id, print, seconds=500)
        done.set()
        watcher.join()
        print(f"\n{state_at_end}; {rows:,} rows\n\n| task | RSS, MiB | PSS, MiB |\n|---|---|---|")
        for task in client.tasks(api, DAG, run_id):
            rss, pss = most[task["pid"]]
            print(f"| {client.name(task)} | {rss // MIB} | {pss // MIB} |")
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            root = processes.running(Daemon(state, f"airflow-{name}"))
            sizes = [size for p in (root, *root.children(recursive=True)) if (size := memory(p))]
            print(f"| {name}, {len(sizes)} processes | | {sum(pss for _, pss in sizes) // MIB} |")
    finally:
        stack.down(state, print)
        postgres.discard(state)


def watch(scheduler: psutil.Process, done: threading.Event, most: dict[int, tuple[int, int]]) -> None:
    """Keep the largest size of every process below the scheduler."""
    while not done.wait(0.05):
        for process in scheduler.children(recursive=True):
            if size := memory(process):
                most[process.pid] = tuple(map(max, most[process.pid], size))


def memory(process: psutil.Process) -> tuple[int, int] | None:
    """Return RSS and PSS in bytes, as the kernel sums them up; None for a process that has ended meanwhile."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return None
    sizes = {name: int(value.split()[0]) << 10 for name, _, value in (line.partition(":") for line in lines)}
    return sizes["Rss"], sizes["Pss"]


if __name__ == "__main__":
    main()
