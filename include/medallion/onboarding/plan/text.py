"""A plan as lines for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from include.medallion.onboarding.plan.report import Level, LookupPlan, Plan, SinkPlan, SourcePlan

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND, _WIDTH = 1000, 110
_RESULTS = {
    Level.NOTE: "ready: the next run would start",
    Level.UNREACHABLE: "not known: something could not be reached; try again",
    Level.APPROVAL: "the next run would stop and ask for an approval",
    Level.REFUSED: "the next run would be refused",
}


def lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan, the result last."""
    yield f"pipeline {plan.pipeline}"
    if plan.source:
        yield from _source(plan.source)
    if plan.columns:
        yield from _columns(plan)
    for sink in plan.sinks:
        yield from _sink(sink)
    for lookup in plan.lookups:
        yield from _lookup(lookup)
    yield ""
    yield from (f"{finding.level}: {finding.message}" for finding in plan.findings)
    yield f"result: {_RESULTS[plan.gravest]}"


def _source(source: SourcePlan) -> Iterator[str]:
    yield from ("", f"source    {source.table}, {source.kind}, key {', '.join(source.key)}")
    yield f"  server  {source.server}, PostgreSQL {source.version}, role {source.role}: may read it"
    rows = f"about {source.rows:,} rows" if source.rows >= 0 else "rows unknown until ANALYZE"
    partitions = f", {source.partitions:,} partitions" if source.partitions else ""
    yield f"  size    {rows}, {size(source.bytes)}{partitions}"
    counted = f"{source.rows_to_read:,} rows" if source.rows_to_read is not None else "rows not counted"
    work = f"{_count(source.chunks, 'chunk')}, {_count(source.parts, 'part')}"
    yield f"  run     reads {source.window}: {counted}, {work}"
    yield f"  starts  {source.starts}"
    yield f"  scan    about {source.scan_seconds:,.1f} s in each run"


def _columns(plan: Plan) -> Iterator[str]:
    yield from ("", f"columns   {len(plan.columns):,}")
    rows = [("name", "source", "gold", "silver", "mask")]
    rows += [(c.name, c.source, c.gold, c.silver, c.mask) for c in plan.columns]
    yield from (f"  {line}" for line in _aligned(rows))


def _sink(sink: SinkPlan) -> Iterator[str]:
    yield from ("", f"{sink.name:<9} {sink.target}: holds {sink.holds}")
    yield from (f"  schema  {change}" for change in sink.changes)
    if sink.changes:
        yield f"  then    {sink.action}"
    for statement in sink.ddl:
        first, *others = textwrap.wrap(statement, _WIDTH, break_long_words=False)
        yield f"  DDL     {first}"
        yield from (f"          {line}" for line in others)


def _lookup(lookup: LookupPlan) -> Iterator[str]:
    exact = "" if lookup.is_exact else "about "
    share = lookup.cached / lookup.keys if lookup.keys else 0
    yield from ("", f"look-ups  {lookup.enrichment}, by {lookup.provider}")
    cached = f"{lookup.cached:,} cached ({share:.0%})"
    yield f"  keys    {exact}{lookup.keys:,} distinct, {cached}, {lookup.missing:,} to look up"
    if lookup.price_per_1000:
        free = f", of which {min(lookup.calls, lookup.free_calls):,} are free this month" if lookup.free_calls else ""
        yield f"  price   {lookup.cost_usd:,.2f} USD at {lookup.price_per_1000:g} USD for 1000 calls{free}"
    else:
        yield "  price   free"
    if lookup.hours:
        yield f"  time    {lookup.hours:,.2f} hours at the rate limit"
    if lookup.budget is not None:
        yield f"  budget  {lookup.budget:,} calls"
    if lookup.statuses:
        yield f"  status  {', '.join(f'{name} {part:.0%}' for name, part in lookup.statuses.items())}"


def size(number: float) -> str:
    """
    Return a number of bytes in a unit that people read.

    >>> size(512), size(16384), size(1_234_567_890)
    ('512 bytes', '16.4 kB', '1.2 GB')
    """
    for unit in _UNITS:
        if number < _THOUSAND or unit == _UNITS[-1]:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= _THOUSAND
    return ""


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
