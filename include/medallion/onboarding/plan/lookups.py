"""What the look-ups of a run would be: distinct keys, cached share, calls, price and time. No call is made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.geocoders.location import ADVICE
from include.medallion.lake.object_store import Lake
from include.medallion.lookups import usage_ledger
from include.medallion.lookups.cache import find_answers
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.keys import Key
from include.medallion.onboarding.plan.report import LookupPlan, Plan
from include.medallion.onboarding.plan.source import Keys

MAX_ANSWERED_KEYS = 20_000
"""Keys that a free geocoder is asked, to say what the statuses would be."""
_WORTH_A_NOTE = 0.05


def plan_lookup(
    lake: Lake, pipeline: Pipeline, number: int, enrichment: Enrichment, keys: Keys, now: datetime
) -> LookupPlan:
    """
    Return the look-ups of one enrichment.

    Args:
        number: of the enrichment in the pipeline file.
        keys: of the rows that the run reads, or of a sample.
        now: decides which cached answers have expired, and the month of the free calls.
    """
    settings = pipeline.enrich[number].settings
    is_geocode = isinstance(settings, GeocodeSettings)
    settled = _settled(enrichment, keys.found)
    asked = [key for key in keys.found if key not in settled]
    cached = _cached(lake, enrichment, asked, now)
    scale = keys.total / len(keys.found) if keys.found else 1.0
    missing = round((len(asked) - len(cached)) * scale)
    calls = math.ceil(missing / enrichment.keys_per_call)
    limits, free = enrichment.limits, _free_calls(lake, enrichment, settings.free_per_month, now)
    rate = limits.calls_per_second if limits else None
    return LookupPlan(
        enrichment=f"{'geocode' if is_geocode else 'function'} {', '.join(enrichment.reads)}",
        provider=enrichment.provider,
        keys=keys.total,
        is_exact=keys.is_exact,
        cached=round(len(cached) * scale),
        missing=missing,
        calls=calls,
        price_per_1000=enrichment.price_per_1000,
        free_calls=free,
        cost_usd=round(max(0, calls - free) * enrichment.price_per_1000 / 1000, 2),
        hours=round(calls / rate / 3600, 2) if rate else 0.0,
        budget=min(limits.budgets, default=None) if limits else None,
        statuses=_statuses(enrichment, asked, settled) if is_geocode and limits is None else {},
        postcodes=round(len({key[:2] for key in asked}) * scale) if "address" in enrichment.key.names else 0,
    )


def add_notes(plan: Plan) -> None:
    """Add what a person should know of the look-ups."""
    for lookup in plan.lookups:
        if lookup.budget is not None and lookup.calls > lookup.budget:
            plan.note(
                f"{lookup.enrichment}: {lookup.calls - lookup.budget:,} of {lookup.calls:,} calls are over the budget: "
                "their rows arrive as PENDING, and the daily refresh looks them up"
            )
        if lookup.postcodes:
            cost = lookup.postcodes * lookup.price_per_1000 / 1000
            plan.note(
                f"{lookup.enrichment}: by postcode alone, without address, there would be {lookup.postcodes:,} keys "
                f"instead of {lookup.keys:,}, at most {cost:,.2f} USD"
            )
        for status, share in lookup.statuses.items():
            if status in ADVICE and share >= _WORTH_A_NOTE:
                plan.note(f"{lookup.enrichment}: {share:.0%} of the keys would be {status}: {ADVICE[status]}")


def _cached(lake: Lake, enrichment: Enrichment, keys: Sequence[Key], now: datetime) -> set[Key]:
    answers = find_answers(lake, enrichment, keys, now) if keys and enrichment.limits else ()
    return {key for some, _ in answers for key in some}


def _free_calls(lake: Lake, enrichment: Enrichment, free: int, now: datetime) -> int:
    used = usage_ledger.calls_since(lake, enrichment.provider, now.date().replace(day=1)) if free else 0
    return max(0, free - used)


def _settled(enrichment: Enrichment, keys: Sequence[Key]) -> dict[Key, str]:
    """Return the keys that need no call, such as a postcode without a country, with their status."""
    if enrichment.settle is None or not keys:
        return {}
    statuses = enrichment.settle(list(keys)).to_pylist()
    return {key: status for key, status in zip(keys, statuses, strict=True) if status is not None}


def _statuses(enrichment: Enrichment, asked: Sequence[Key], settled: Mapping[Key, str]) -> dict[str, float]:
    """Ask a geocoder that costs nothing; return the share of the keys with each status."""
    some = list(asked[:MAX_ANSWERED_KEYS])
    counts = Counter(enrichment.call(some)[enrichment.status].to_pylist()) if some else Counter()
    scale = len(asked) / len(some) if some else 1.0
    weights = {str(status): count * scale for status, count in counts.items()}
    for status in settled.values():
        weights[status] = weights.get(status, 0) + 1
    total = sum(weights.values())
    return {status: weights[status] / total for status in sorted(weights, key=lambda name: -weights[name])}
