"""Measure what Silver's ledger, fence and checks cost, compared with PUT, COPY and MERGE by hand."""

from __future__ import annotations

import typer

from benchmarks.harness import employees, silver_contest
from benchmarks.harness.contest import printed
from benchmarks.harness.options import Changed, Rounds, Rows
from benchmarks.harness.report import report
from benchmarks.harness.results import Question
from benchmarks.harness.servers import servers

QUESTIONS = (Question.SILVER_INITIAL_LOAD, Question.SILVER_UPDATES)
PLACE = "silver"


def main(rows: Rows = 100_000, changed: Changed = None, rounds: Rounds = 4) -> None:
    """
    Load a whole table into Snowflake's stand-in, then some random updates of it, from the same staged files.

    A contender's figures are those of its process; the stand-in's are counted separately.
    """
    count = changed or max(1, rows // 100)
    with servers(rows) as there, silver_contest.account(there) as account:
        employees.fill(there, rows)
        whole = silver_contest.stage(there, PLACE)
        employees.update_random(there, count)
        batches = [whole, silver_contest.stage(there, PLACE)]
        row_bytes = employees.row_bytes(there)
        found = list(printed(silver_contest.compete(there, account, batches, rounds)))
    for index, (question, batch) in enumerate(zip(QUESTIONS, batches, strict=True)):
        turns = sorted((t for t in found if t["batch"] == index), key=lambda t: t["contender"] != "medallion")
        about = {"changed": batch.rows, "rounds": rounds, "row_bytes": row_bytes}
        report(question, rows, turns, about)


if __name__ == "__main__":
    typer.run(main)
