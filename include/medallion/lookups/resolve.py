"""
Resolve the distinct keys of one part: each key is billed at most once in the deployment.

Keys that need no call get their status. Keys of a provider that costs nothing are looked up at once; its answers are
neither cached nor counted. For all others the cache is read first. Then leases on the missing keys are acquired. The
provider is called for the leased keys, within rate limit and call budget, and answers are staged as they arrive.
Finally, the answers to keys that other tasks had leased are read, once those tasks have staged them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from include.medallion.config.sections.enrichment import LookupSettings
from include.medallion.lake.object_store import Lake
from include.medallion.lookups import cache, leases, usage_ledger
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.lookups.limits.call_budget import CallBudget
from include.medallion.lookups.progress import Progress, report_progress
from include.medallion.lookups.results import LookupResults
from include.medallion.lookups.usage_ledger import BillingKey
from include.medallion.model.keys import Key

log = logging.getLogger(__name__)
LEASE_POLL_SECONDS = 1.0
LEASE_RENEWAL_SECONDS = leases.LEASE_DURATION.total_seconds() / 3
KeyedAnswers = tuple[list[Key], pa.Table]  # keys, and one row for each


@dataclass(frozen=True, slots=True)
class LookupContext:
    """Who looks keys up: billing key, owner of the leases, share of the rate limit."""

    billing_key: BillingKey
    part: int
    share: int = 1  # look-ups that may run at the same time in the deployment

    @property
    def lease_owner(self) -> str:
        """The same for every attempt at one part, so that a retry takes over the leases of the killed attempt."""
        return f"{self.billing_key.pipeline}/{self.billing_key.batch_id}/{self.part}"


def resolve_keys(
    lake: Lake, enrichment: Enrichment, context: LookupContext, wanted: Mapping[Key, int], now: datetime
) -> LookupResults:
    """
    Resolve keys from the cache and by calls; keys over the call budget stay without an answer.

    Args:
        wanted: the number of each key, from 0 in the order of the mapping.
        now: answers that expired before it are not used.

    Raises:
        ProviderRefused, Transient: as `calls.make_calls`. Answers that arrived before are staged: the next attempt
            calls only for the missing keys.
    """
    results = LookupResults(enrichment, wanted)
    results.settle()
    if enrichment.limits is None:
        for keys in _key_slices(results.missing(), enrichment.keys_per_call):
            results.add(keys, enrichment.with_provenance(enrichment.call(keys), now))
        return results
    unsettled = results.missing()
    _read_cache(lake, results, unsettled, now)
    if missing := results.missing():
        _call_metered(lake, context, enrichment.limits, missing, results, now)
    if enrichment.tracked and enrichment.tracked.renew_until:
        held = sorted({*unsettled} - {*missing}, key=results.wanted.__getitem__)
        _renew_early(lake, context, enrichment.limits, held, results, enrichment.tracked.renew_until)
    return results


def _renew_early(
    lake: Lake, context: LookupContext, limits: LookupSettings, held: list[Key], results: LookupResults, until: datetime
) -> None:
    """Call for keys whose cached answers expire until then; those over the call budget keep the answers they have."""
    renewed = LookupResults(results.enrichment, {key: number for number, key in enumerate(held)})
    _read_cache(lake, renewed, held, until)
    if missing := renewed.missing():
        _call_metered(lake, context, limits, missing, renewed, until)
    results.add(*renewed.answers())
    results.calls += renewed.calls
    results.cached -= len(renewed) - renewed.cached


def _read_cache(lake: Lake, results: LookupResults, keys: list[Key], now: datetime) -> None:
    before = len(results)
    for answered in cache.find_answers(lake, results.enrichment, keys, now):
        results.add(*answered)
    results.cached += len(results) - before


def _call_metered(
    lake: Lake,
    context: LookupContext,
    limits: LookupSettings,
    missing: list[Key],
    results: LookupResults,
    now: datetime,
) -> None:
    """
    Call for the keys that can be leased; wait until the others are answered or their leases end.

    Args:
        now: cached answers that expire before it, or before the time at which they are read, are not used.
    """
    enrichment, owner = results.enrichment, context.lease_owner
    with _call_budget(lake, context, limits, results) as budget, _leases_released(lake, owner):
        while True:
            leased = set(leases.acquire(lake, enrichment.cache, missing, owner, datetime.now(UTC)))
            _read_cache(lake, results, missing, max(now, datetime.now(UTC)))  # answers staged before these leases began
            keys = [key for key in missing if key in leased and key not in results]
            for answered in _call_and_stage(lake, enrichment, context, limits, keys, budget):
                results.add(*answered)
            missing = [key for key in missing if key not in leased and key not in results]
            if not missing:
                return
            log.info("another task is looking up %s keys: waiting for its answers", f"{len(missing):,}")
            time.sleep(LEASE_POLL_SECONDS)


@contextmanager
def _call_budget(
    lake: Lake, context: LookupContext, limits: LookupSettings, results: LookupResults
) -> Iterator[CallBudget]:
    """Provide the part's call budget; settle the usage ledger at the end, even after a failure."""
    bounded, now = limits.has_budget, datetime.now(UTC)
    budget = CallBudget(partial(_reserve, lake, context.billing_key, limits)) if bounded else CallBudget()
    try:
        yield budget
    finally:
        results.calls += budget.calls
        usage_ledger.settle(lake, context.billing_key, -budget.unused if bounded else budget.calls, now)


def _reserve(lake: Lake, billing_key: BillingKey, limits: LookupSettings, requested: int) -> int:
    return usage_ledger.reserve(lake, billing_key, limits, requested, datetime.now(UTC))


@contextmanager
def _leases_released(lake: Lake, owner: str) -> Iterator[None]:
    try:
        yield
    finally:
        leases.release(lake, owner)


def _call_and_stage(
    lake: Lake,
    enrichment: Enrichment,
    context: LookupContext,
    limits: LookupSettings,
    keys: list[Key],
    budget: CallBudget,
) -> Iterator[KeyedAnswers]:
    """Yield new answers, each once it is staged."""
    if not keys:
        return
    from include.medallion.lookups.calls import make_calls  # noqa: PLC0415 (its libraries take a while to import)

    answers = make_calls(_key_slices(keys, enrichment.keys_per_call), enrichment.call, limits, budget, context.share)
    progress = Progress(f"part {context.part}, look-ups by {enrichment.provider}", len(keys))
    with report_progress(progress, lambda: budget.calls):
        renewing = _renew_leases(lake, enrichment, context.lease_owner, keys, answers)
        for answered in _stage_answers(lake, enrichment, renewing):
            progress.done += len(answered[0])
            yield answered


def _renew_leases(
    lake: Lake, enrichment: Enrichment, owner: str, keys: Collection[Key], answers: Iterator[KeyedAnswers]
) -> Iterator[KeyedAnswers]:
    """Pass answers through; renew the leases on the keys well before they end."""
    renewed = time.monotonic()
    for answered in answers:
        yield answered
        if time.monotonic() - renewed > LEASE_RENEWAL_SECONDS:
            leases.acquire(lake, enrichment.cache, keys, owner, datetime.now(UTC))
            renewed = time.monotonic()


def _stage_answers(lake: Lake, enrichment: Enrichment, answers: Iterator[KeyedAnswers]) -> Iterator[KeyedAnswers]:
    """Stage answers, some in each file, including those that arrived before a failure; yield them once staged."""
    unstaged: list[KeyedAnswers] = []
    try:
        for answered in answers:
            unstaged.append(answered)
            if sum(len(keys) for keys, _ in unstaged) >= enrichment.answers_per_file:
                full, unstaged = unstaged, []
                yield _stage_file(lake, enrichment, full)
    finally:
        rest = _stage_file(lake, enrichment, unstaged) if unstaged else None
    if rest:
        yield rest


def _stage_file(lake: Lake, enrichment: Enrichment, answered: list[KeyedAnswers]) -> KeyedAnswers:
    now, keys, answers = (
        datetime.now(UTC),
        [key for some, _ in answered for key in some],
        pa.concat_tables(rows for _, rows in answered),
    )
    cache.stage_answers(lake, enrichment, keys, answers, now)
    return keys, enrichment.with_provenance(answers, now)


def _key_slices(keys: list[Key], size: int) -> Iterator[list[Key]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
