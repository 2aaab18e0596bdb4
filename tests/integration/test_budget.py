"""Call budgets and leases hold over retries, parts, runs and pipelines; no key is billed twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from include.medallion.config.sections.enrichment import LookupSettings
from include.medallion.config.sections.tables import Gold, Parts, Silver
from include.medallion.lookups import leases, usage_ledger
from include.medallion.lookups.usage_ledger import BillingKey
from include.medallion.staging.parts import LookupCounts
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.open_window import open_window
from tests.integration.fake_google import FIVE, insert, paid, set_geocode

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ME, YOU = BillingKey("google", "one", 7), BillingKey("google", "two", 8)


@pytest.fixture
def here(people):
    """Return an empty lake."""
    return people.connections.lake


def second(people):
    """Return another pipeline over the same table, into tables of its own."""
    return people.pipeline.model_copy(update={"name": "two", "silver": Silver(table="TWO"), "gold": Gold(table="two")})


def test_retries_are_calls_of_the_budget_too(people, google):
    """Half of all calls fail: not one call more than allowed is made, over all parts, and the rest waits."""
    set_geocode(people, max_calls_per_run=4, max_attempts=50)
    people.pipeline = people.pipeline.model_copy(update={"parts": Parts(keys_per_part=2, max_parts=3)})
    google.fail("UNKNOWN_ERROR", share=0.5)
    insert(people, *FIVE)
    summary = people.run()
    assert summary.lookups.calls == len(google.calls) <= 4
    assert summary.lookups.statuses["PENDING"] >= 1


def test_a_budget_of_the_run_holds_over_tries_of_a_part(people, google):
    """A part that is tried again has no new budget: what the first try spent is gone."""
    set_geocode(people, max_calls_per_run=3, concurrency=1)
    insert(people, *FIVE)
    window = people.begin()
    (part,) = people.extract(window)
    first, again = (people.enrich(window, part.number).lookups for _ in range(2))
    assert (first.calls, again.calls, again.cached) == (3, 0, 3)
    assert len(google.calls) == 3


def test_a_budget_of_the_day_holds_over_runs_and_pipelines(people, google):
    """Two pipelines that ask one provider have one budget a day."""
    set_geocode(people, max_calls_per_day=3)
    insert(people, *FIVE[:2])
    people.run()
    insert(people, *FIVE[2:])
    people.pipeline = second(people)
    assert people.run().lookups.calls == 1
    assert len(google.calls) == 3


def test_reserved_calls_that_were_not_made_are_given_back(here):
    """Once a part is done, the ledger has the calls that were made."""
    limits = LookupSettings(max_calls_per_run=30)
    assert usage_ledger.reserve(here, ME, limits, 20, NOW) == 20
    usage_ledger.settle(here, ME, -15, NOW)
    assert [usage_ledger.reserve(here, ME, limits, 20, NOW) for _ in range(3)] == [20, 5, 0]


def test_calls_that_a_killed_task_reserved_count_as_made(here):
    """How many were made is unknown, so the budget assumes all of them."""
    limits = LookupSettings(max_calls_per_run=30)
    assert [usage_ledger.reserve(here, ME, limits, 20, NOW) for _ in range(2)] == [20, 10]
    assert usage_ledger.reserve(here, ME, limits, 20, NOW) == 0


def test_a_day_has_its_own_budget_and_a_run_too(here):
    """Another day, another run, another provider: each is counted for itself."""
    by_day, by_run = LookupSettings(max_calls_per_day=5), LookupSettings(max_calls_per_run=5)
    assert usage_ledger.reserve(here, ME, by_day, 9, NOW) == 5
    assert usage_ledger.reserve(here, YOU, by_day, 9, NOW) == 0
    assert usage_ledger.reserve(here, YOU, by_day, 9, NOW + timedelta(days=1)) == 5
    assert usage_ledger.reserve(here, ME, by_run, 9, NOW + timedelta(days=1)) == 0
    assert usage_ledger.reserve(here, BillingKey("other", "one", 7), by_day, 9, NOW) == 5


def test_concurrent_reservations_never_exceed_the_budget(here):
    """Eight tasks reserve calls at the same time: together they get the budget."""
    limits = LookupSettings(max_calls_per_run=50)
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: usage_ledger.reserve(here, ME, limits, 7, NOW), range(16)))
    assert sum(granted) == 50


def test_two_pipelines_that_meet_the_same_postcodes_at_once_pay_once(people, google):
    """Both look up at the same moment with an empty cache: each postcode is asked for once, and both have all."""
    google.latency = 0.1
    insert(people, *FIVE)
    staged = []
    for pipeline in (people.pipeline, second(people)):
        window = open_window(pipeline, people.connections)
        (part,) = extract(pipeline, people.connections, window)
        staged.append((pipeline, people.connections, window, part.number))
    with ThreadPoolExecutor(2) as pool:
        lookups = [part.lookups for part in pool.map(lambda arguments: enrich(*arguments), staged)]
    assert paid(google) == dict.fromkeys(FIVE, 1)
    assert [counts.statuses for counts in lookups] == [{"OK": 5}] * 2
    assert [counts.calls + counts.cached for counts in lookups] == [5, 5]


def test_a_leased_key_is_not_leased_to_another(here):
    """A second owner gets the other keys; the same owner gets its own again."""
    a, b = ("US", "1"), ("US", "2")
    assert leases.acquire(here, "locations", [a], "one", NOW) == [a]
    assert leases.acquire(here, "locations", [a, b], "two", NOW) == [b]
    assert leases.acquire(here, "locations", [a], "one", NOW) == [a]
    assert leases.acquire(here, "another_cache", [a], "two", NOW) == [a]


def test_a_lease_ends_by_release_or_by_time(here):
    """A released key is free at once; a killed owner's after the lease's duration, which a renewal extends."""
    key = ("US", "1")
    leases.acquire(here, "locations", [key], "one", NOW)
    leases.acquire(here, "locations", [key], "one", NOW + leases.LEASE_DURATION / 2)
    assert leases.acquire(here, "locations", [key], "two", NOW + leases.LEASE_DURATION * 1.4) == []
    assert leases.acquire(here, "locations", [key], "two", NOW + leases.LEASE_DURATION * 1.6) == [key]
    leases.release(here, "two")
    assert leases.acquire(here, "locations", [key], "three", NOW + leases.LEASE_DURATION * 1.6) == [key]


def test_concurrent_leases_have_one_owner_each(here):
    """Eight tasks acquire leases on the same twenty keys: each key is leased to one of them."""
    keys = [("US", str(n)) for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: leases.acquire(here, "locations", keys, f"task {n}", NOW), range(8)))
    assert sorted(key for some in won for key in some) == sorted(keys)


def test_a_failed_part_leaves_no_lease_behind(people, google):
    """After a failure, the next run does not wait for leases."""
    google.fail("REQUEST_DENIED")
    insert(people, "98052")
    with pytest.raises(Exception, match="GOOGLE_API_KEY"):
        people.run()
    assert people._delta(leases.TABLE) == []


def test_the_summary_counts_what_was_saved_and_what_it_cost(people, google):
    """Rows, distinct keys, cached keys, calls, and the cost at the list price."""
    insert(people, *FIVE)
    people.run()
    insert(people, *FIVE, *FIVE, "02139")
    lookups = people.run().lookups
    assert lookups == LookupCounts(rows=11, keys=6, cached=5, calls=1, cost_usd=0.005, statuses={"OK": 6})
