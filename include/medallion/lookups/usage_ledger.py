"""
The account of paid calls: how many a provider got, by UTC day, pipeline and batch.

    lookup_calls(provider, day, pipeline, batch_id, calls)

It is what budgets are kept by, over all tasks, retries and pipelines of a lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.enrichment import LookupSettings
from include.medallion.lake import shared_table
from include.medallion.lake.object_store import Lake

TABLE = "lookup_calls"
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
    """On whose account a call goes."""

    provider: str
    pipeline: str
    batch_id: int


def reserve(lake: Lake, payer: BillingKey, limits: LookupSettings, wish: int, now: datetime) -> int:
    """
    Book up to `wish` calls; return how many the budgets of run and day still have.

    What is granted counts as made, until `settle` says how many were.
    """

    def decide(account: pa.Table) -> tuple[pa.Table, int]:
        granted = max(0, min(wish, _remaining(account, payer, limits, now)))
        return _with_entry(account, payer, granted, now), granted

    return shared_table.update(lake, TABLE, SCHEMA, decide)


def settle(lake: Lake, payer: BillingKey, calls: int, now: datetime) -> None:
    """Add calls that were made without being booked; negative: booked, but not made."""
    if calls:
        shared_table.update(lake, TABLE, SCHEMA, lambda account: (_with_entry(account, payer, calls, now), None))


def _remaining(account: pa.Table, payer: BillingKey, limits: LookupSettings, now: datetime) -> int:
    mine = account.filter(pc.field("provider") == payer.provider)
    today = mine.filter(pc.field("day") == pa.scalar(_day(now), pa.date32()))
    run = mine.filter((pc.field("pipeline") == payer.pipeline) & (pc.field("batch_id") == payer.batch_id))
    budgets = ((limits.max_calls_per_day, today), (limits.max_calls_per_run, run))
    return min(most - _sum(spent) for most, spent in budgets if most is not None)


def _with_entry(account: pa.Table, payer: BillingKey, calls: int, now: datetime) -> pa.Table:
    oldest = pa.scalar(_day(now - RETENTION), pa.date32())
    entry = pa.Table.from_pylist(
        [
            {
                "provider": payer.provider,
                "day": _day(now),
                "pipeline": payer.pipeline,
                "batch_id": payer.batch_id,
                "calls": calls,
            }
        ],
        SCHEMA,
    )
    if not calls:
        return account
    every = pa.concat_tables([account.filter(pc.field("day") >= oldest), entry])
    sums = every.group_by(_ENTRY, use_threads=False).aggregate([("calls", "sum")])
    return sums.rename_columns([*_ENTRY, "calls"]).cast(SCHEMA)


def _sum(entries: pa.Table) -> int:
    return pc.sum(entries["calls"]).as_py() or 0


def _day(now: datetime) -> object:
    return now.astimezone(UTC).date()
