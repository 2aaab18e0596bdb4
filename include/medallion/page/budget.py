"""What look-ups of a pipeline may cost in a month, at the provider's list price."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import datetime

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.enrichment import EnrichmentSettings
from include.medallion.geocoders import declarations


def monthly_budget(pipeline: Pipeline, environ: Mapping[str, str], now: datetime) -> float | None:
    """Return US dollars for the month of `now`, by `max_calls_per_day`; None if no enrichment has such a limit."""
    days = monthrange(now.year, now.month)[1]
    limits = [(e, e.settings.max_calls_per_day) for e in pipeline.enrich]
    costs = [days * limit * price_per_1000(e, environ) / 1000 for e, limit in limits if limit is not None]
    return round(sum(costs), 2) if costs else None


def price_per_1000(enrichment: EnrichmentSettings, environ: Mapping[str, str]) -> float:
    """Return US dollars for 1000 calls: the file's price, else the geocoder's list price, else 0."""
    if enrichment.settings.price_per_1000 is not None:
        return enrichment.settings.price_per_1000
    if enrichment.geocode is None:
        return 0.0
    by_key = "google_geocoding" if environ.get("GOOGLE_API_KEY", "").strip() else "offline"
    return declarations()[enrichment.geocode.geocoder or by_key].list_price
