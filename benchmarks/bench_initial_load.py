"""Measure how long it takes until a whole table is in Gold."""

from __future__ import annotations

import typer

from benchmarks.harness import contest, employees
from benchmarks.harness.options import Only, Rounds, Rows, chosen
from benchmarks.harness.report import report
from benchmarks.harness.results import Question
from benchmarks.harness.servers import servers

CONTENDERS = (
    *(contest.OURS, contest.DUCKDB, contest.POLARS, contest.DLT_FASTER, contest.DLT_DEFAULT),
    *(contest.INGESTR, contest.DEBEZIUM, contest.ROW_BY_ROW, contest.LIMIT),
)


def main(rows: Rows = 100_000, rounds: Rounds = 3, only: Only = None) -> None:
    """Load a whole table into an empty lake: medallion, five other tools, row by row, and the limit."""
    able = chosen(CONTENDERS, only, rows)
    with servers(rows) as there:
        employees.fill(there, rows)
        found = contest.compete(there, able, rounds, place=lambda n, c: f"{c.slug}-{n}", finish=there.discard)
        about = {"rounds": rounds, "row_bytes": employees.row_bytes(there)}
        report(Question.INITIAL_LOAD, rows, list(contest.printed(found)), about)


if __name__ == "__main__":
    typer.run(main)
