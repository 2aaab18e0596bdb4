"""
The books of a run: for each sink, rows read = applied + superseded + quarantined.

A run whose books do not balance fails, and its watermark stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from include.medallion.errors import ContractBroken
from include.medallion.model.window import Window


def check_row_counts(window: Window, parts: list[dict], enriched: list[dict], silver: dict, gold: dict) -> dict:
    """
    Balance the books of a run and return its summary: counts and ids, no data.

    Args:
        parts, enriched, silver, gold: what the tasks returned (their `to_json`).

    Raises:
        ContractBroken: rows are missing somewhere; the message names the sink and the counts.
    """
    read, quarantined = sum(p["rows"] for p in parts), sum(e["quarantined"] for e in enriched)
    unchanged = sum(e["unchanged"] for e in enriched)
    problems = [*_part_mismatches(parts, enriched)]
    for sink, counts in (("Silver", silver), ("Gold", gold)):
        done = counts["inserted"] + counts["updated"] + counts["superseded"]
        if not read == counts["read"] + quarantined + unchanged == done + quarantined + unchanged:
            problems.append(
                f"{sink}: {read} rows read, but {counts['inserted']} inserted + {counts['updated']} updated + "
                f"{counts['superseded']} superseded + {quarantined} quarantined + {unchanged} unchanged"
            )
    if problems:
        raise ContractBroken(f"batch {window.batch_id} does not balance, its watermark stays: {'; '.join(problems)}")
    return _summarize(window, read, quarantined, enriched, silver, gold)


def match_parts(parts: list[dict], enriched: Sequence[dict]) -> list[dict]:
    """
    Return what became of each part that was extracted.

    `extract`, run again, may find fewer rows (what changed meanwhile is in a later window) and so make fewer parts:
    what lies beyond them is of an earlier try.

    Raises:
        ContractBroken: parts are missing, or were extracted anew since: their rows would be lost.
    """
    found = list(enriched[: len(parts)])
    if problems := _part_mismatches(parts, found):
        raise ContractBroken(f"{problems[0]}: clear `extract` and all after it")
    return found


def _part_mismatches(parts: list[dict], enriched: list[dict]) -> list[str]:
    extracted = {p["number"]: p["rows"] for p in parts}
    answered = {e["part"]: e["read"] for e in enriched}
    return [] if extracted == answered else [f"parts: {extracted} extracted, {answered} enriched"]


def _summarize(window: Window, read: int, quarantined: int, enriched: list[dict], silver: dict, gold: dict) -> dict:
    return {
        "pipeline": window.pipeline,
        "batch_id": window.batch_id,
        "mode": str(window.mode),
        "window": {"after": window.after, "upto": window.upto},
        "lag_transactions": window.lag,
        "read": read,
        "quarantined": quarantined,
        "unchanged": sum(e["unchanged"] for e in enriched),
        "silver": {**silver, "quarantined": quarantined},
        "gold": {**gold, "quarantined": quarantined},
        "lookups": _lookups(enriched),
    }


def _lookups(enriched: list[dict]) -> dict:
    """Sum up what was asked, what it cost at the providers' list prices, and what was not asked, and why."""
    asked, keys, cached, calls = (sum(e[name] for e in enriched) for name in ("asked", "keys", "cached", "calls"))
    return {
        "keys": keys,
        "cached": cached,
        "calls": calls,
        "calls_saved": {"by_duplicates": asked - keys, "by_cache": cached},
        "cost_usd": round(sum(e["cost_usd"] for e in enriched), 6),
        "statuses": dict(sum((Counter(e["statuses"]) for e in enriched), Counter())),
    }


def part_summary_line(enriched: dict) -> str:
    """Return what became of one part in one readable line."""
    statuses = ", ".join(f"{status} {count:,}" for status, count in sorted(enriched["statuses"].items()))
    return (
        f"part {enriched['part']}: {enriched['read']:,} rows, {enriched['quarantined']:,} set aside; "
        f"{enriched['keys']:,} keys: {enriched['cached']:,} cached, {enriched['calls']:,} calls, "
        f"{enriched['cost_usd']:.2f} USD; {statuses or 'no keys'}"
    )


def summary_line(summary: dict) -> str:
    """Return the run in one readable line."""
    lookups, gold = summary["lookups"], summary["gold"]
    return (
        f"{summary['pipeline']} batch {summary['batch_id']}: {summary['read']:,} rows read, "
        f"{summary['quarantined']:,} quarantined; Silver {_counts(summary['silver'])}; Gold {_counts(gold)} "
        f"(version {gold['version']}); "
        f"{lookups['keys']:,} keys: {lookups['cached']:,} cached, {lookups['calls']:,} calls, "
        f"{lookups['cost_usd']:.2f} USD; "
        f"watermark {summary['window']['upto']}, lag {summary['lag_transactions']} transactions"
    )


def _counts(sink: dict) -> str:
    return (
        "held it already" if sink["replayed"] else f"+{sink['inserted']:,} ~{sink['updated']:,} ={sink['superseded']:,}"
    )
