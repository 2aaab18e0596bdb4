"""
The usage ledger: number of metered calls by provider, UTC day, pipeline and batch.

    lookup_usage(provider, day, pipeline, batch_id, calls)

Call budgets are checked against it, over all tasks, retries and pipelines of a lake.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.sections.enrichment import LookupSettings
from include.medallion.lake import delta, shared_table
from include.medallion.lake.object_store import Lake

TABLE = "lookup_usage"
SCHEMA = pa.schema(
    [
        ("provider", pa.string()),
        ("day", pa.date32()),
        ("pipeline", pa.string()),
        ("batch_id", pa.int64()),
        ("calls", pa.int64()),
    ]
)
RETENTION = timedelta(days=35)
_ENTRY = ["provider", "day", "pipeline", "batch_id"]


@dataclass(frozen=True, slots=True)
class BillingKey:
    """What calls are counted under, besides the day."""

    provider: str
    pipeline: str
    batch_id: int


def reserve(lake: Lake, billing_key: BillingKey, limits: LookupSettings, requested: int, now: datetime) -> int:
    """
    Reserve calls before they are made.

    Reserved calls count as made until `settle` corrects the number.

    Args:
        limits: the budgets of a run, a day and a month; at least one of them is set.
        requested: upper limit of calls to reserve.
        now: chooses the UTC day and month.

    Returns:
        Number of calls reserved; 0 if a budget is exhausted.

    Raises:
        CommitFailedError: every attempt to update the table conflicted with another task.
    """

    def decide(ledger: pa.Table) -> tuple[pa.Table, int]:
        granted = max(0, min(requested, _remaining(ledger, billing_key, limits, now)))
        return _add_entry(ledger, billing_key, granted, now), granted

    return shared_table.update(lake, TABLE, SCHEMA, decide)


def settle(lake: Lake, billing_key: BillingKey, calls: int, now: datetime) -> None:
    """
    Correct the number of calls once it is known.

    Args:
        calls: calls made without a reservation; negative for reserved calls that were not made.
        now: chooses the UTC day.

    Raises:
        CommitFailedError: every attempt to update the table conflicted with another task.
    """
    if calls:
        shared_table.update(lake, TABLE, SCHEMA, lambda ledger: (_add_entry(ledger, billing_key, calls, now), None))


def calls_since(lake: Lake, provider: str, day: date) -> int:
    """Return the calls to a provider since a UTC day, by all pipelines of the lake; at most those of `RETENTION`."""
    table = delta.open_table(lake, TABLE)
    if table is None:
        return 0
    entries = delta.dataset(lake, TABLE, table).to_table()
    since = pc.field("day") >= pa.scalar(day, pa.date32())
    return _count_calls(entries.filter((pc.field("provider") == provider) & since))


def billed_calls(lake: Lake, billing_key: BillingKey, free_per_month: int) -> int:
    """
    Return how many of a batch's calls the provider bills, if some of each calendar month are free.

    Batches use the free calls in the order of their ids, so the sum over all batches is what is billed.
    """
    table = delta.open_table(lake, TABLE)
    if table is None:
        return 0
    ledger = delta.dataset(lake, TABLE, table).to_table(filter=pc.field("provider") == billing_key.provider)
    own: Counter[date] = Counter()
    before: Counter[date] = Counter()
    for entry in ledger.to_pylist():
        month, batch = entry["day"].replace(day=1), (entry["batch_id"], entry["pipeline"])
        if batch == (billing_key.batch_id, billing_key.pipeline):
            own[month] += entry["calls"]
        elif batch < (billing_key.batch_id, billing_key.pipeline):
            before[month] += entry["calls"]
    return sum(max(0, before[m] + n - free_per_month) - max(0, before[m] - free_per_month) for m, n in own.items())


def _remaining(ledger: pa.Table, billing_key: BillingKey, limits: LookupSettings, now: datetime) -> int:
    of_provider = ledger.filter(pc.field("provider") == billing_key.provider)
    of_day = of_provider.filter(pc.field("day") == pa.scalar(_utc_day(now), pa.date32()))
    of_run = of_provider.filter(
        (pc.field("pipeline") == billing_key.pipeline) & (pc.field("batch_id") == billing_key.batch_id)
    )
    of_month = of_provider.filter(pc.field("day") >= pa.scalar(_utc_day(now).replace(day=1), pa.date32()))
    budgets = (
        (limits.max_calls_per_month, of_month),
        (limits.max_calls_per_day, of_day),
        (limits.max_calls_per_run, of_run),
    )
    return min(limit - _count_calls(entries) for limit, entries in budgets if limit is not None)


def _add_entry(ledger: pa.Table, billing_key: BillingKey, calls: int, now: datetime) -> pa.Table:
    """Return the ledger with the calls added, without entries older than `RETENTION`."""
    if not calls:
        return ledger
    entry = (billing_key.provider, _utc_day(now), billing_key.pipeline, billing_key.batch_id, calls)
    added = pa.Table.from_pylist([dict(zip(SCHEMA.names, entry, strict=True))], SCHEMA)
    oldest = pa.scalar(_utc_day(now - RETENTION), pa.date32())
    entries = pa.concat_tables([ledger.filter(pc.field("day") >= oldest), added])
    sums = entries.group_by(_ENTRY, use_threads=False).aggregate([("calls", "sum")])
    return sums.rename_columns([*_ENTRY, "calls"]).cast(SCHEMA)


def _count_calls(entries: pa.Table) -> int:
    return pc.sum(entries["calls"]).as_py() or 0


def _utc_day(now: datetime) -> date:
    return now.astimezone(UTC).date()
