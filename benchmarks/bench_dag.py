"""Measure what Airflow adds: a DAG run by the real scheduler, compared with the same stages in one process."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from statistics import median

import typer

from benchmarks.harness.contest import PIPELINE, SCRIPTS
from benchmarks.harness.deployment import Deployment, deployed, forget, run, trial
from benchmarks.harness.measure import measure
from benchmarks.harness.options import Rounds, Rows
from benchmarks.harness.results import Question, keep


def main(rows: Rows = 100_000, rounds: Rounds = 2) -> None:
    """
    Load a whole table into both sinks, in turns by a DAG run and by one process, each time into empty tables.

    The order alternates: the second one finds caches warm. A DAG run that does not count comes first, since the
    api-server takes seconds for its first task, regardless of what that does.
    """
    with deployed(rows, rounds + 1) as there:
        trial(there, f"employees_{rounds}")
        found = [_round(there, n) for n in range(rounds)]
    keep(Question.WHOLE_DAG, rows, {"rounds": [{"dag": dag, "core": core} for dag, core in found]}, _table(rows, found))


def _round(there: Deployment, number: int) -> tuple[dict, dict]:
    """Measure both, in alternating order, and delete what they wrote."""
    sides = {"dag": partial(_dag, there, number), "core": partial(_core, there, number)}
    order = ("core", "dag") if number % 2 else ("dag", "core")
    found = {side: sides[side]() for side in order}
    return found["dag"], found["core"]


def _dag(there: Deployment, number: int) -> dict:
    found = run(there, f"employees_{number}")
    forget(there, f"employees_{number}")
    return found


def _core(there: Deployment, number: int) -> dict:
    """Do the same in one process, into other tables."""
    tables = {"silver": {"table": f"CORE_{number}"}, "gold": {"table": f"core_{number}"}}
    task = {"pipeline": {**PIPELINE, "name": f"core_{number}", **tables}}
    command = [sys.executable, SCRIPTS / "ours_whole.py", json.dumps(task)]
    found = measure(command, {**os.environ, **there.settings})
    forget(there, f"core_{number}")
    return found


def _table(rows: int, found: list[tuple[dict, dict]]) -> str:
    dag, core = (median(pair[side]["wall"] for pair in found) for side in (0, 1))
    tasks, stages = _medians([d["tasks"] for d, _ in found]), _medians([c["said"]["stages"] for _, c in found])
    lines = [
        f"### whole DAG: rows {rows:,}, rounds {len(found)}",
        "",
        "| | wall, s | peak, MB |",
        "|---|--:|--:|",
        f"| DAG run, request to end | {dag:.1f} | {max(d['peak_mb'] for d, _ in found):,.0f} (all task processes) |",
        f"| core in one process, both sinks | {core:.1f} | {max(c['peak_mb'] for _, c in found):,.0f} |",
        f"| difference (median of rounds) | {median(d['wall'] - c['wall'] for d, c in found):.1f} | |",
        "",
        f"Seconds in each task: {_listed(tasks)}; in each stage of the core: {_listed(stages)}",
        "",
    ]
    return "\n".join(lines)


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one.get(name, 0) for one in found) for name in found[0]}


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


if __name__ == "__main__":
    typer.run(main)
