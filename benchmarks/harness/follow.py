"""Contenders follow the changes of a table: one kind of change after the other, each reported as a question."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from benchmarks.harness import contest, employees
from benchmarks.harness.contest import Change, Contender
from benchmarks.harness.report import report
from benchmarks.harness.results import Question
from benchmarks.harness.servers import Servers


def follow(
    there: Servers,
    questions: Mapping[Question, tuple[Change, Sequence[Contender]]],
    contenders: Collection[Contender],
    rows: int,
    count: int,
    rounds: int,
) -> Iterator[list[Contender]]:
    """
    Change `count` rows, let all follow that can, and report it, for each kind of change; yield who took part.

    Args:
        questions: the change that each asks about, and who can follow it.
        contenders: those that have loaded the table of `rows` rows.
    """
    for question, (change, able) in questions.items():
        if not (turns := [c for c in able if c in contenders]):
            continue
        found = contest.compete(
            there, turns, rounds, place=lambda _, c: c.slug, prepare=lambda _, do=change: do(there, count)
        )
        about = {"changed": 0 if change is employees.nothing else count, "rounds": rounds}
        about |= {"row_bytes": employees.row_bytes(there)}
        report(question, rows, list(contest.printed(found)), about)
        yield turns
