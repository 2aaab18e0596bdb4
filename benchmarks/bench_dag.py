"""Ask what Airflow adds: a whole DAG run by the real scheduler, against the same stages in one process."""

from __future__ import annotations

import json
import os
import sys
from statistics import median

import typer

from benchmarks.harness.contest import PIPELINE, SCRIPTS
from benchmarks.harness.deployment import Deployment, deployed, forget, run
from benchmarks.harness.measure import measure
from benchmarks.harness.options import Rounds, Rows
from benchmarks.harness.results import Question, keep


def main(rows: Rows = 100_000, rounds: Rounds = 2) -> None:
    """Load a whole table into both sinks, in turns by a DAG run and by one process, each time into empty tables."""
    with deployed(rows, rounds) as there:
        found = [_round(there, n) for n in range(rounds)]
    keep(Question.WHOLE_DAG, rows, {"rounds": [{"dag": dag, "core": core} for dag, core in found]}, _table(rows, found))


def _round(there: Deployment, number: int) -> tuple[dict, dict]:
    """Let both do it, and keep nothing of what they wrote."""
    dag = run(there, f"employees_{number}")
    forget(there, f"employees_{number}")
    core = _core(there, number)
    forget(there, f"core_{number}")
    return dag, core


def _core(there: Deployment, number: int) -> dict:
    """Do the same in one process, into other tables."""
    tables = {"silver": {"table": f"CORE_{number}"}, "gold": {"table": f"core_{number}"}}
    task = {"pipeline": {**PIPELINE, "name": f"core_{number}", **tables}}
    command = [sys.executable, SCRIPTS / "ours_whole.py", json.dumps(task)]
    return measure(command, {**os.environ, **there.settings})


def _table(rows: int, found: list[tuple[dict, dict]]) -> str:
    dag, core = (median(pair[side]["wall"] for pair in found) for side in (0, 1))
    tasks = {name: median(pair[0]["tasks"].get(name, 0) for pair in found) for name in found[0][0]["tasks"]}
    lines = [
        f"### whole DAG: rows {rows:,}, rounds {len(found)}",
        "",
        "| | wall, s | peak, MB |",
        "|---|--:|--:|",
        f"| DAG run, request to end | {dag:.1f} | {max(d['peak_mb'] for d, _ in found):,.0f} (all task processes) |",
        f"| core in one process, both sinks | {core:.1f} | {max(c['peak_mb'] for _, c in found):,.0f} |",
        f"| difference (median of rounds) | {median(d['wall'] - c['wall'] for d, c in found):.1f} | |",
        "",
        "Seconds in each task: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in tasks.items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
