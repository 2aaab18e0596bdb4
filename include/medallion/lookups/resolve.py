"""
Answers to the distinct keys of one part, each paid for at most once in the deployment.

Cache first; then a claim on what is missing; then calls, within rate and
budget, each group of answers staged before the next is waited for; at last the
answers that others had claimed, once they have staged them.
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

from include.medallion.lake.object_store import Lake
from include.medallion.lookups import cache, leases, usage_ledger
from include.medallion.lookups.call_budget import CallBudget
from include.medallion.lookups.calls import make_calls
from include.medallion.lookups.enrichment import KEEP_FOR, Enrichment
from include.medallion.lookups.progress import Progress, report_progress
from include.medallion.lookups.results import LookupResults
from include.medallion.lookups.usage_ledger import BillingKey
from include.medallion.model.columns import TIMESTAMP_UTC
from include.medallion.model.keys import Key

log = logging.getLogger(__name__)
LEASE_POLL_SECONDS = 1.0
KeyedAnswers = tuple[list[Key], pa.Table]  # keys, and a row for each
LEASE_RENEWAL_SECONDS = leases.LEASE_DURATION.total_seconds() / 3


@dataclass(frozen=True, slots=True)
class LookupContext:
    """Who asks: on whose account, under which name it claims keys, with what share of the rate."""

    payer: BillingKey
    part: int
    share: int = 1  # look-ups that may run at the same time in the deployment

    @property
    def name(self) -> str:
        """The same for every try of one part, so that a retry owns what the killed try claimed."""
        return f"{self.payer.pipeline}/{self.payer.batch_id}/{self.part}"


def resolve_keys(
    lake: Lake, enrichment: Enrichment, asker: LookupContext, wanted: Mapping[Key, int], now: datetime
) -> LookupResults:
    """
    Answer keys; those over the budget are left out.

    Raises:
        ProviderRefused, Transient: as `lookups.look_up`. What was paid for until
            then is staged: the next try pays for the rest.
    """
    found = LookupResults(enrichment, wanted)
    _read_cache(lake, found, list(wanted), now)
    missing = found.missing()
    if missing and enrichment.limits is None:
        for answered in _stage_groups(lake, enrichment, now, _call_free(enrichment, missing)):
            found.add(*answered)
    elif missing:
        _call_metered(lake, asker, missing, found)
    return found


def _read_cache(lake: Lake, found: LookupResults, keys: list[Key], now: datetime) -> None:
    """Look into the cache for keys without an answer."""
    before = len(found)
    for answered in cache.find_answers(lake, found.enrichment, keys, now):
        found.add(*answered)
    found.cached += len(found) - before


def _call_free(enrichment: Enrichment, keys: list[Key]) -> Iterator[KeyedAnswers]:
    return ((chunk, enrichment.call(chunk)) for chunk in _slices(keys, enrichment.keys_per_call))


def _call_metered(lake: Lake, asker: LookupContext, missing: list[Key], found: LookupResults) -> None:
    """Ask for what nobody else has claimed; wait for the answers of the others, or for the end of their claims."""
    enrichment = found.enrichment
    with _call_budget(lake, asker, found) as purse, _leases_released(lake, asker):
        while True:
            mine = leases.acquire(lake, enrichment.cache, missing, asker.name, datetime.now(UTC))
            _read_cache(lake, found, missing, datetime.now(UTC))  # what others answered until that claim
            for answered in _call_and_stage(lake, enrichment, asker, [key for key in mine if key not in found], purse):
                found.add(*answered)
            done = {*mine}
            missing = [key for key in missing if key not in done and key not in found]
            if not missing:
                return
            log.info("another task is looking up %s keys: waiting for its answers", f"{len(missing):,}")
            time.sleep(LEASE_POLL_SECONDS)


@contextmanager
def _call_budget(lake: Lake, asker: LookupContext, found: LookupResults) -> Iterator[CallBudget]:
    """Lend the part's purse; what it spent is in the account at the end, however that comes."""
    limits, now = found.enrichment.limits, datetime.now(UTC)
    bounded = limits.max_calls_per_run is not None or limits.max_calls_per_day is not None
    purse = CallBudget(partial(_reserve, lake, asker.payer, limits)) if bounded else CallBudget()
    try:
        yield purse
    finally:
        found.calls += purse.calls
        usage_ledger.settle(lake, asker.payer, -purse.left if bounded else purse.calls, now)


def _reserve(lake: Lake, payer: BillingKey, limits: object, wish: int) -> int:
    return usage_ledger.reserve(lake, payer, limits, wish, datetime.now(UTC))


@contextmanager
def _leases_released(lake: Lake, asker: LookupContext) -> Iterator[None]:
    try:
        yield
    finally:
        leases.release(lake, asker.name)


def _call_and_stage(
    lake: Lake, enrichment: Enrichment, asker: LookupContext, keys: list[Key], purse: CallBudget
) -> Iterator[KeyedAnswers]:
    """Yield new answers, each after it is safe in staging."""
    if not keys:
        return
    chunks = _slices(keys, enrichment.keys_per_call)
    asked = make_calls(chunks, enrichment.call, enrichment.limits, purse, asker.share)
    progress = Progress(f"part {asker.part}, look-ups by {enrichment.provider}", len(keys))
    with report_progress(progress, lambda: purse.calls):
        renewing = _renew_leases(lake, enrichment, asker, keys, asked)
        for some, answers in _stage_groups(lake, enrichment, datetime.now(UTC), renewing):
            progress.done += len(some)
            yield some, answers


def _renew_leases(
    lake: Lake, enrichment: Enrichment, asker: LookupContext, keys: Collection[Key], answered: Iterator[KeyedAnswers]
) -> Iterator[KeyedAnswers]:
    """Pass answers on; renew the claim on the keys now and then, long before it ends."""
    renewed = time.monotonic()
    for one in answered:
        yield one
        if time.monotonic() - renewed > LEASE_RENEWAL_SECONDS:
            leases.acquire(lake, enrichment.cache, keys, asker.name, datetime.now(UTC))
            renewed = time.monotonic()


def _stage_groups(
    lake: Lake, enrichment: Enrichment, now: datetime, answered: Iterator[KeyedAnswers]
) -> Iterator[KeyedAnswers]:
    """Stage answers group by group, also those that came before a failure; yield each, signed, once it is safe."""
    group: list[KeyedAnswers] = []
    try:
        for one in answered:
            group.append(one)
            if sum(len(keys) for keys, _ in group) >= enrichment.group:
                full, group = group, []
                yield _stage_group(lake, enrichment, full, now)
    finally:
        rest = _stage_group(lake, enrichment, group, now) if group else None
    if rest:
        yield rest


def _stage_group(lake: Lake, enrichment: Enrichment, group: list[KeyedAnswers], now: datetime) -> KeyedAnswers:
    keys, answers = [key for some, _ in group for key in some], pa.concat_tables(answers for _, answers in group)
    cache.stage_answers(lake, enrichment, keys, answers, now)
    provider = pa.repeat(enrichment.provider, len(keys))
    signed = [*answers.drop_columns([KEEP_FOR]).columns, provider, pa.repeat(pa.scalar(now, TIMESTAMP_UTC), len(keys))]
    return keys, pa.table(signed, schema=enrichment.kept)


def _slices(keys: list[Key], size: int) -> Iterator[list[Key]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
