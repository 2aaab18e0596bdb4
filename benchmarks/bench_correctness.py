"""Show which values and changes of small tables arrive, and what each tool makes of the others."""

from __future__ import annotations

from dataclasses import replace

import typer

from benchmarks.harness import contest, trial_table
from benchmarks.harness.contest import Contender
from benchmarks.harness.measure import ContenderFailed, measure
from benchmarks.harness.options import Only, Rows, chosen
from benchmarks.harness.results import Question, keep
from benchmarks.harness.servers import Servers, child_environment, servers
from benchmarks.harness.trial_table import CHECKS, ROWS, Check

PIPELINE = {"source": {"key": "id"}, "gold": {"table": "gold"}, "deletes": "hard", "max_delete_share": 1}
LOG = {**PIPELINE, "source": {"key": "id", "read": "log"}}
CONTENDERS = (
    Contender("medallion", "ours_daily.py", "gold", False, settings={"pipeline": PIPELINE}),
    Contender("medallion reading the log", "ours_daily.py", "gold", False, settings={"pipeline": LOG}),
    contest.DUCKDB,
    contest.POLARS,
    contest.DLT_DEFAULT,
    contest.INGESTR,
    contest.DEBEZIUM,
)


def main(rows: Rows = ROWS, only: Only = None) -> None:
    """For each check let every contender copy a table (of 8 rows) and follow a change, and compare its Gold."""
    able = chosen(CONTENDERS, only, rows)
    found: dict[str, dict[str, str]] = {}
    with servers(ROWS) as there:
        for number, check in enumerate(CHECKS):
            found[check.name] = _outcomes(there, able, f"trial_{number}", check)
            print(check.name, found[check.name], flush=True)
    keep(Question.CORRECTNESS, ROWS, {"outcomes": found}, _table([contender.name for contender in able], found))


def _outcomes(there: Servers, able: list[Contender], table: str, check: Check) -> dict[str, str]:
    """Return by contender how its Gold compares with the source after a first load and the change."""
    trial_table.create(there, table, check)
    turns = {contender.name: _of_table(contender, table) for contender in able}
    outcomes = {name: _follow(there, contender, table) for name, contender in turns.items()}
    if check.change:
        trial_table.execute(there, check.change.format(table=table))
        outcomes |= {name: _follow(there, turns[name], table) for name, stopped in outcomes.items() if not stopped}
    trial_table.drop_slots(there)
    truth = trial_table.source_rows(there, table)
    return {
        name: stopped or trial_table.outcome(check, truth, turns[name].table(there, _place(turns[name], table)))
        for name, stopped in outcomes.items()
    }


def _of_table(contender: Contender, table: str) -> Contender:
    """Return the contender with settings that copy this table."""
    pipeline = contender.settings.get("pipeline", PIPELINE)
    named = {**pipeline, "name": table, "source": {**pipeline["source"], "table": table}}
    gold = contender.gold.replace("employees", table)
    return replace(contender, gold=gold, settings={**contender.settings, "table": table, "pipeline": named})


def _follow(there: Servers, contender: Contender, table: str) -> str:
    """Let a contender bring what changed to its Gold; return what to say if it stops, else an empty text."""
    try:
        measure(contender.command(there, _place(contender, table)), child_environment({}))
    except ContenderFailed as error:
        print(f"{contender.name} stopped: {error}", flush=True)
        return "stops"
    return ""


def _place(contender: Contender, table: str) -> str:
    return f"{contender.slug}/{table}"


def _table(names: list[str], found: dict[str, dict[str, str]]) -> str:
    lines = ["### correctness", "", "| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [f"| {check} | " + " | ".join(by[name] for name in names) + " |" for check, by in found.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
