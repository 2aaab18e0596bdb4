"""Ask what a run takes when little has changed, or nothing."""

from __future__ import annotations

import typer

from benchmarks.harness import contest, employees
from benchmarks.harness.options import Only, Rounds, Rows, chosen
from benchmarks.harness.report import report
from benchmarks.harness.servers import servers

FOLLOWERS = (contest.OURS, contest.DLT_FASTER, contest.DLT_DEFAULT)
QUESTIONS = {
    "new rows": (employees.insert, (*FOLLOWERS, contest.ROW_BY_ROW)),
    "recent updates": (employees.update_recent, FOLLOWERS),
    "random updates": (employees.update_random, FOLLOWERS),
    "nothing new": (employees.nothing, (*FOLLOWERS, contest.BARE_SCAN)),
}


def main(rows: Rows = 100_000, share: float = 0.01, rounds: Rounds = 3, only: Only = None) -> None:
    """
    Load the table once into each Gold, then, for each kind of change, change a share of it and let all follow.

    Row by row knows of new rows only, so it is left behind after the first question.
    """
    count = max(1, round(rows * share))
    everybody = chosen([*FOLLOWERS, contest.ROW_BY_ROW, contest.BARE_SCAN], only)
    with servers() as there:
        employees.fill(there, rows)
        first = contest.compete(there, [c for c in everybody if c.gold], 1, place=lambda _, c: c.slug)
        list(contest.told(first))
        for question, (change, able) in QUESTIONS.items():
            able_ = [c for c in able if c in everybody]
            found = contest.compete(
                there, able_, rounds, place=lambda _, c: c.slug, prepare=lambda _, do=change: do(there, count)
            )
            about = {"rows": rows, "changed": 0 if change is employees.nothing else count, "rounds": rounds}
            report(question, list(contest.told(found)), about)


if __name__ == "__main__":
    typer.run(main)
