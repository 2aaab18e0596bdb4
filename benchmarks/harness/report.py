"""Medians, spread, rates and ratios, as a Markdown table: a line per contender, and below it where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.harness.results import Question, keep

HEADS = {
    "wall": "wall, s",
    "cpu": "CPU, s",
    "server_cpu": "server's CPU, s",
    "peak_mb": "peak, MB",
    "files_read_mb": "files read",
    "files_written_mb": "written",
    "s3_read_mb": "S3 read",
    "s3_written_mb": "S3 written, MB",
}
"""What may be measured of a turn; a column for each that was."""
SECONDS = ("cpu", "server_cpu")
COMPARED = {"wall": "wall", "cpu": "CPU", "peak_mb": "memory"}
USD_PER_CORE_HOUR = 0.05
"""About what a core of an on-demand machine costs at a large cloud."""
RATES = {"per_core": "rows/s per core", "usd": "USD per billion rows"}
START = "imports"
"""The stage in which Python starts and loads libraries."""


def report(question: Question, rows: int, turns: Sequence[dict], about: dict) -> None:
    """Keep and print what a contest found."""
    table = summaries(turns, about.get("changed", rows))
    said = ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in {"rows": rows, **about}.items())
    findings = {**about, "usd_per_core_hour": USD_PER_CORE_HOUR, "contenders": table, "turns": list(turns)}
    keep(question, rows, findings, markdown(f"{question}: {said}", table))


def summaries(turns: Sequence[dict], rows: int = 0) -> dict[str, dict]:
    """
    Sum up the rounds of each contender.

    Rates are rows by the CPU seconds of its processes, and what these cost; None without rows, or if it is void.
    Ratios are the first contender's figure in units of this one's: medians of the ratios within a round, for what the
    machine did meanwhile, it did to both. None if either is void.
    """
    found = {name: _of(turns, name) for name in dict.fromkeys(t["contender"] for t in turns)}
    first = next(iter(found.values()))
    sums = {name: _summary(mine) for name, mine in found.items()}
    for name, mine in found.items():
        void = sums[name]["faults"] or _faults(first)
        sums[name]["rates"] = _rates(rows, sums[name]) if rows and not sums[name]["faults"] else None
        sums[name]["first_to_it"] = None if void else {m: _ratio(first, mine, m) for m in COMPARED}
    return sums


def markdown(title: str, table: dict[str, dict]) -> str:
    """Return the table of such summaries, and the stages of the contenders that report them."""
    first, row = next(iter(table.items()))
    measured = [HEADS[m] for m in row["measured"]]
    rated = any(row["rates"] for row in table.values())
    ratios = [f"{first} / it, {c}" for c in COMPARED.values()]
    heads = ["contender", *measured, "look-ups", "files", *(RATES.values() if rated else ()), *ratios]
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    lines += [_line(name, row, rated) for name, row in table.items()]
    if rated:
        lines += [
            "",
            f"CPU is that of its own processes, without the servers; a core costs {USD_PER_CORE_HOUR} USD an hour.",
        ]
    stages = [f"- {name}: {_stages(row)}" for name, row in table.items() if row["stages"]]
    return "\n".join([*lines, "", "Stages, s (of CPU):", "", *stages, ""] if stages else [*lines, ""])


def _of(turns: Sequence[dict], name: str) -> list[dict]:
    return [t for t in turns if t["contender"] == name]


def _faults(mine: list[dict]) -> list[str]:
    return sorted({t["fault"] for t in mine if t["fault"]})


def _summary(mine: list[dict]) -> dict:
    stages, stages_cpu = (_medians([t["said"].get(kind, {}) for t in mine]) for kind in ("stages", "stages_cpu"))
    return {
        "measured": {m: _spread([t[m] for t in mine]) for m in HEADS if m in mine[0]},
        "look_ups": max(t["said"].get("look_ups", 0) for t in mine),
        "files": mine[-1].get("files"),
        "stages": stages,
        "stages_cpu": stages_cpu,
        "without_start": _without_start(mine) if START in stages else None,
        "faults": _faults(mine),
    }


def _medians(accounts: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each stage that the last round had."""
    return {stage: median(a.get(stage, 0) for a in accounts) for stage in accounts[-1]}


def _without_start(mine: list[dict]) -> dict[str, float]:
    """Return wall and CPU seconds without the start of Python: what is left in a process that has started before."""
    kinds = {"wall": "stages", "cpu": "stages_cpu"}
    return {m: median(t[m] - t["said"][kind][START] for t in mine) for m, kind in kinds.items()}


def _spread(values: list[float]) -> dict:
    return {"median": median(values), "least": min(values), "most": max(values)}


def _ratio(first: list[dict], mine: list[dict], measured: str) -> float:
    theirs = {t["round"]: t[measured] for t in first}
    return median(theirs[t["round"]] / t[measured] for t in mine)


def _rates(rows: int, summary: dict) -> dict[str, float]:
    seconds = summary["measured"]["cpu"]["median"]
    return {"per_core": rows / seconds, "usd": seconds / 3600 * USD_PER_CORE_HOUR * 1e9 / rows}


def _line(name: str, row: dict, rated: bool) -> str:
    if row["faults"]:
        return f"| {name} | void: {'; '.join(row['faults'])} |"
    cells = [_cell(m, spread) for m, spread in row["measured"].items()]
    ratios = [f"{r:.2f}" for r in row["first_to_it"].values()] if row["first_to_it"] else ["" for _ in COMPARED]
    rates = [f"{row['rates']['per_core']:,.0f}", f"{row['rates']['usd']:,.2f}"] if row["rates"] else ["", ""]
    others = [f"{row['look_ups']:,}", str(row["files"] or ""), *(rates if rated else ())]
    return "| " + " | ".join([name, *cells, *others, *ratios]) + " |"


def _cell(measured: str, spread: dict) -> str:
    if measured == "wall":
        return f"{spread['median']:.2f} [{spread['least']:.2f}-{spread['most']:.2f}]"
    return f"{spread['median']:.2f}" if measured in SECONDS else f"{spread['median']:,.0f}"


def _stages(row: dict) -> str:
    text = ", ".join(f"{stage} {s:.2f}{_in_cpu(row['stages_cpu'].get(stage))}" for stage, s in row["stages"].items())
    if bare := row["without_start"]:
        return f"{text}; all without the start of Python {bare['wall']:.2f}{_in_cpu(bare['cpu'])}"
    return text


def _in_cpu(seconds: float | None) -> str:
    return "" if seconds is None else f" ({seconds:.2f})"
