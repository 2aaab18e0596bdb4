"""What the look-ups of a batch cost, if the provider does not bill the first calls of each month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.lookups.usage_ledger import BillingKey, billed_calls
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts


def with_billed_cost(
    lake: Lake, pipeline: Pipeline, window: Window, parts: Sequence[EnrichedPart], total: LookupCounts
) -> LookupCounts:
    """
    Return a batch's look-up counts with the cost that the provider bills.

    Args:
        total: the counts of all parts, whose cost has the price of every call.
    """
    free = {n: e.settings.free_per_month for n, e in enumerate(pipeline.enrich) if e.settings.free_per_month}
    if not free:
        return total
    priced = [c.cost_usd for part in parts for n, c in enumerate(part.by_enrichment) if n not in free]
    providers = {
        counts.provider: (free[n], counts.price_per_1000)
        for part in parts
        for n, counts in enumerate(part.by_enrichment)
        if n in free
    }
    billed = (
        billed_calls(lake, BillingKey(provider, pipeline.name, window.batch_id), calls) * price / 1000
        for provider, (calls, price) in providers.items()
    )
    return replace(total, cost_usd=round(sum(priced) + sum(billed), 6))
