"""Measure a run when little has changed, or nothing."""

from __future__ import annotations

import typer

from benchmarks.harness import contest, employees
from benchmarks.harness.follow import follow
from benchmarks.harness.options import Changed, Only, Rounds, Rows, chosen
from benchmarks.harness.results import Question
from benchmarks.harness.servers import servers

OTHERS = (contest.DUCKDB, contest.POLARS, contest.DLT_FASTER, contest.DLT_DEFAULT, contest.INGESTR, contest.DEBEZIUM)
FOLLOWERS = (contest.OURS, contest.BY_LOG, *OTHERS)
QUESTIONS = {
    Question.NEW_ROWS: (employees.insert, (*FOLLOWERS, contest.ROW_BY_ROW)),
    Question.RECENT_UPDATES: (employees.update_recent, FOLLOWERS),
    Question.RANDOM_UPDATES: (employees.update_random, FOLLOWERS),
    Question.RECENT_AGAIN: (employees.update_recent, FOLLOWERS),
    Question.NOTHING_NEW: (employees.nothing, (*FOLLOWERS, contest.BARE_SCAN)),
    Question.DELETED_ROWS: (employees.delete_random, (contest.BY_LOG, *OTHERS)),
}


def main(rows: Rows = 100_000, changed: Changed = None, rounds: Rounds = 3, only: Only = None) -> None:
    """
    Load the table once into each Gold, then, for each kind of change, change some of it and let all follow.

    Row by row finds new rows only, so it takes part in the first question only. Deletes come last: a Gold that keeps
    deleted rows is void from then on. Medallion sees them in the log, or else in its next reconcile.
    """
    count = changed or max(1, rows // 100)
    contenders = chosen([*FOLLOWERS, contest.ROW_BY_ROW, contest.BARE_SCAN], only, rows)
    with servers(rows) as there:
        employees.fill(there, rows)
        employees.publish(there)
        first = contest.compete(there, [c for c in contenders if c.gold], 1, place=lambda _, c: c.slug)
        list(contest.printed(first))
        for turns in follow(there, QUESTIONS, contenders, rows, count, rounds):
            for finished in (c for c in turns if c not in FOLLOWERS):
                there.discard(finished.slug)


if __name__ == "__main__":
    typer.run(main)
