"""Measure a run that reads the log against one that scans the table, and against dlt, for the same changes."""

from __future__ import annotations

from dataclasses import replace

import typer

from benchmarks.harness import contest, employees
from benchmarks.harness.follow import follow
from benchmarks.harness.options import Changed, Only, Rounds, Rows, chosen
from benchmarks.harness.results import Question
from benchmarks.harness.servers import servers

PIPELINE = {**contest.PIPELINE, "deletes": "hard"}
BY_LOG, BY_XMIN = contest.BY_LOG, replace(contest.OURS, name="medallion read: xmin", settings={"pipeline": PIPELINE})
QUESTIONS = {
    Question.LOG_NEW_ROWS: (employees.insert, (BY_LOG, BY_XMIN, contest.DLT_FASTER)),
    Question.LOG_RECENT_UPDATES: (employees.update_recent, (BY_LOG, BY_XMIN, contest.DLT_FASTER)),
    Question.LOG_RANDOM_UPDATES: (employees.update_random, (BY_LOG, BY_XMIN, contest.DLT_FASTER)),
    Question.LOG_NOTHING_NEW: (employees.nothing, (BY_LOG, BY_XMIN, contest.DLT_FASTER)),
    Question.LOG_DELETES: (
        employees.delete_random,
        (BY_LOG,),
    ),  # the others find deletes by comparing all keys, or never
}


def main(rows: Rows = 100_000, changed: Changed = None, rounds: Rounds = 3, only: Only = None) -> None:
    """Load the table once into each Gold, then, for each kind of change, change some of it and let all follow."""
    count = changed or max(1, rows // 100)
    contenders = chosen([BY_LOG, BY_XMIN, contest.DLT_FASTER], only, rows)
    with servers(rows) as there:
        employees.fill(there, rows)
        employees.publish(there)
        first = contest.compete(there, contenders, 1, place=lambda _, c: c.slug)
        list(contest.printed(first))
        list(follow(there, QUESTIONS, contenders, rows, count, rounds))


if __name__ == "__main__":
    typer.run(main)
