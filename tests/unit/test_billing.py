"""Budgets of a month, and what the provider bills beyond its free calls."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.lookup_settings import LookupSettings
from include.medallion.lake.object_store import open_lake
from include.medallion.lookups.usage_ledger import BillingKey, billed_calls, reserve, settle
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts, sum_lookups
from include.medallion.steps.summary.billing import with_billed_cost

NOVEMBER, DECEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path):
    """Return an empty lake in a folder."""
    return open_lake(f"file://{tmp_path}", {})


def batch(number, pipeline="people", provider="google_geocoding"):
    """Return what the calls of a batch are counted under."""
    return BillingKey(provider, pipeline, number)


def test_a_budget_of_a_month_holds_over_days_and_pipelines(lake):
    """It is shared by all pipelines of a provider, and begins again with the next month in UTC."""
    limits = LookupSettings(max_calls_per_month=100, max_calls_per_day=90)
    settle(lake, batch(1), 60, datetime(2026, 11, 1, tzinfo=UTC))
    settle(lake, batch(2, provider="another"), 1000, NOVEMBER)
    assert reserve(lake, batch(3, "others"), limits, 70, NOVEMBER) == 40
    assert reserve(lake, batch(4), limits, 70, NOVEMBER) == 0
    assert reserve(lake, batch(5), limits, 70, DECEMBER) == 70
    assert reserve(lake, batch(6), limits, 70, DECEMBER) == 20


def test_free_calls_are_used_by_the_first_batches_of_a_month(lake):
    """The sum over all batches is what the provider bills: calls above the free ones of each month."""
    for number, calls, now in ((1, 60, NOVEMBER), (2, 60, NOVEMBER), (2, 30, DECEMBER), (3, 100, DECEMBER)):
        settle(lake, batch(number), calls, now)
    assert [billed_calls(lake, batch(number), 100) for number in (1, 2, 3, 4)] == [0, 20, 30, 0]
    assert [billed_calls(lake, batch(number), 0) for number in (1, 2, 3)] == [60, 90, 100]


def test_batches_of_two_pipelines_share_the_free_calls(lake):
    """Batches with one id are ordered by the pipeline's name."""
    for name in ("a", "b"):
        settle(lake, batch(1, name), 60, NOVEMBER)
    assert [billed_calls(lake, batch(1, name), 100) for name in ("a", "b")] == [0, 20]


def pipeline(**settings):
    """Return a pipeline with two geocodes: the first one has these settings."""
    geocodes = [
        {"geocode": {"postcode": "zip", "country": "US", **settings}},
        {"geocode": {"postcode": "zip", "country": "US", "prefix": "other_"}},
    ]
    source = {"table": "people", "key": "id"}
    return Pipeline(name="people", source=source, enrich=geocodes, gold={"table": "people"})


def test_the_cost_of_a_run_is_what_is_billed(lake):
    """Only the geocode that has free calls is corrected; the other one costs what each call costs."""
    settle(lake, batch(7), 300, NOVEMBER)
    window = Window("people", "source", 0, 1, 7)
    one = LookupCounts(calls=300, cost_usd=1.5, provider="google_geocoding", price_per_1000=5)
    other = LookupCounts(calls=10, cost_usd=0.17, provider="google_address_validation", price_per_1000=17)
    total = sum_lookups([one, other])
    parts = [EnrichedPart(0, (), 0, (), (), total, by_enrichment=(one, other))]
    assert with_billed_cost(lake, pipeline(), window, parts, total).cost_usd == 1.67
    assert with_billed_cost(lake, pipeline(free_per_month=200), window, parts, total).cost_usd == 0.67
    assert with_billed_cost(lake, pipeline(free_per_month=10_000), window, parts, total).cost_usd == 0.17
