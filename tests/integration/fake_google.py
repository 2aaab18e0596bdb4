"""A table whose postcodes a provider is paid for, and what is asked of it."""

from __future__ import annotations

from collections import Counter

from include.medallion.config.sections.enrichment import EnrichmentSettings, GeocodeSettings

QUICK = {"calls_per_second": 1000, "concurrency": 4, "max_attempts": 4, "timeout_seconds": 60}
FIVE = ("98052", "10001", "60601", "94105", "33101")


def set_geocode(people, **changes):
    """Set the pipeline's look-up settings."""
    settings = GeocodeSettings(**({"postcode": "postcode", "country": "US"} | QUICK | changes))
    people.pipeline = people.pipeline.model_copy(update={"enrich": [EnrichmentSettings(geocode=settings)]})


def insert(people, *postcodes):
    """Add a row per postcode."""
    people.sql(*(f"INSERT INTO people (postcode) VALUES ('{p}')" for p in postcodes))


def paid(google):
    """Give how often each postcode was asked for."""
    return Counter(call.postcode for call in google.calls)


def statuses(people):
    """Give each row's status, and whether it has coordinates, by postcode."""
    both = {r["postcode"]: (r["geocode_status"], r["latitude"] is not None, r["longitude"] is not None)
            for r in people.gold()}  # fmt: skip
    assert people.silver() == people.gold()
    return both
