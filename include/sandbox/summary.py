"""What a run did, for a person: counts of each sink, timings, and what to try next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from include.medallion.config.pipeline import Pipeline

SAMPLE = "employees"


def timings(tasks: Iterable[Mapping]) -> Iterator[str]:
    """Yield a line per task: how long it ran, mapped instances together."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for task in tasks:
        if task["start_date"] and task["end_date"]:
            span = tuple(datetime.fromisoformat(task[edge]) for edge in ("start_date", "end_date"))
            spans.setdefault(task["task_id"], []).append(span)
    for name, some in spans.items():
        seconds = (max(end for _, end in some) - min(begin for begin, _ in some)).total_seconds()
        yield f"  {name:<14}{seconds:6.1f} s" + (f"  in {len(some)} parts" if len(some) > 1 else "")


def work(done: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about what a run did, from the summary that its task `commit` returned."""
    yield f"  this run  batch {done.get('batch_id', '?')}, {counts({'rows read': done.get('read', '?')})}"
    if set_aside := {name: n for name in ("quarantined", "unchanged") if (n := done.get(name))}:
        yield f"  {'':<10}{counts(set_aside)}"
    for sink, applied in done.get("sinks", {}).items():
        yield f"  {sink:<10}{_applied(applied)}"
    if done.get("lookups", {}).get("keys"):
        yield f"  look-ups  {_lookups(done['lookups'])}"
        if statuses := done["lookups"].get("statuses"):
            yield f"  {'':<10}{counts(statuses)}"
    yield from (f"  WARNING   {warning}" for warning in done.get("warnings", ()))
    if lag := done.get("lag_transactions"):
        yield f"  {lag} transactions are held back by one that is still open: the next run reads them"


def hints(pipeline: Pipeline, *, is_sample: bool) -> Iterator[str]:
    """Yield what to try next with a pipeline; the sandbox's sample may be changed, a user's table is only read."""
    query = "  make query" if pipeline.name == SAMPLE else f"  make query PIPELINE={pipeline.name}"
    yield "look further, once `make up` has left the sandbox running:"
    if is_sample and pipeline.name == SAMPLE:
        yield f"{query} LAYER=bronze SQL=\"UPDATE employees SET postcode = '98052' WHERE id < 4\""
        yield "  make run      brings the three rows, and nothing else"
    if pipeline.silver:
        yield f'{query} LAYER=silver SQL="SELECT * FROM {pipeline.silver.table} LIMIT 5"'
    if pipeline.gold:
        yield f'{query} LAYER=gold SQL="SELECT * FROM {pipeline.gold.table} LIMIT 5" FORMAT=json'
    yield "  make env      every setting, to join from your own programs"


def _lookups(lookups: Mapping[str, Any]) -> str:
    asked = counts({name: lookups[name] for name in ("keys", "cached", "calls")})
    return (
        f"{asked} ({lookups['cost_usd']:.2f} USD); calls saved: {lookups['rows'] - lookups['keys']:,} by "
        f"de-duplication, {lookups['cached']:,} by the cache"
    )


def _applied(applied: Mapping[str, Any]) -> str:
    if applied["replayed"]:
        return "held the batch already"
    rare = {name: n for name in ("deleted", "withdrawn") if (n := applied.get(name))}
    usual = {name: applied[name] for name in ("inserted", "updated")}
    return counts(usual | rare | {"superseded": applied["superseded"]})


def counts(numbers: Mapping[str, Any]) -> str:
    """Return counts with their names, in one line."""
    return ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in numbers.items()
    )
