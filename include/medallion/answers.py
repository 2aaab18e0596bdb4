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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from include.medallion import cache, calls, claims
from include.medallion.calls import Payer
from include.medallion.enrichment import LOOKED_UP_AT, PROVIDER, Answer, Answered, Enrichment
from include.medallion.keys import Key
from include.medallion.lake import Lake
from include.medallion.lookups import look_up
from include.medallion.progress import Progress, reported
from include.medallion.purse import Purse

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 1.0
RENEW_SECONDS = claims.LEASE.total_seconds() / 3


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: on whose account, under which name it claims keys, with what share of the rate."""

    payer: Payer
    part: int
    share: int = 1  # look-ups that may run at the same time in the deployment

    @property
    def name(self) -> str:
        """The same for every try of one part, so that a retry owns what the killed try claimed."""
        return f"{self.payer.pipeline}/{self.payer.batch_id}/{self.part}"


@dataclass
class Found:
    """Answers by key, and what they cost."""

    answers: dict[Key, Answer] = field(default_factory=dict)
    cached: int = 0  # keys answered by the cache
    calls: int = 0  # calls made, retries among them


def find(lake: Lake, enrichment: Enrichment, asker: Asker, wanted: Mapping[Key, int], now: datetime) -> Found:
    """
    Answer keys; those over the budget are left out.

    Raises:
        ProviderRefused, Transient: as `lookups.look_up`. What was paid for until
            then is staged: the next try pays for the rest.
    """
    found = Found(cache.known(lake, enrichment, wanted, now))
    found.cached = len(found.answers)
    missing = [key for key in wanted if key not in found.answers]
    if missing and enrichment.limits is None:
        found.answers |= dict(_kept(lake, enrichment, now, _free(enrichment, missing)))
    elif missing:
        _buy(lake, enrichment, asker, missing, found)
    return found


def _free(enrichment: Enrichment, keys: list[Key]) -> Iterator[Answered]:
    for chunk in _chunks(keys, enrichment.keys_per_call):
        yield from enrichment.call(chunk)


def _buy(lake: Lake, enrichment: Enrichment, asker: Asker, missing: list[Key], found: Found) -> None:
    """Ask for what nobody else has claimed; wait for the answers of the others, or for the end of their claims."""
    with _purse(lake, enrichment, asker, found) as purse, _claimed(lake, asker):
        while True:
            mine = claims.take(lake, enrichment.cache, missing, asker.name, datetime.now(UTC))
            theirs = cache.known(lake, enrichment, dict.fromkeys(missing, 0), datetime.now(UTC))  # until that claim
            found.answers |= theirs
            found.cached += len(theirs)
            found.answers |= dict(_asked(lake, enrichment, asker, [key for key in mine if key not in theirs], purse))
            missing = [key for key in missing if key not in {*theirs, *mine}]
            if not missing:
                return
            log.info("another task is looking up %s keys: waiting for its answers", f"{len(missing):,}")
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _purse(lake: Lake, enrichment: Enrichment, asker: Asker, found: Found) -> Iterator[Purse]:
    """Lend the part's purse; what it spent is in the account at the end, however that comes."""
    limits, now = enrichment.limits, datetime.now(UTC)
    bounded = limits.max_calls_per_run is not None or limits.max_calls_per_day is not None
    purse = Purse(partial(_book, lake, asker.payer, limits)) if bounded else Purse()
    try:
        yield purse
    finally:
        found.calls += purse.calls
        calls.settle(lake, asker.payer, -purse.left if bounded else purse.calls, now)


def _book(lake: Lake, payer: Payer, limits: object, wish: int) -> int:
    return calls.book(lake, payer, limits, wish, datetime.now(UTC))


@contextmanager
def _claimed(lake: Lake, asker: Asker) -> Iterator[None]:
    try:
        yield
    finally:
        claims.release(lake, asker.name)


def _asked(
    lake: Lake, enrichment: Enrichment, asker: Asker, keys: list[Key], purse: Purse
) -> Iterator[tuple[Key, Answer]]:
    """Yield new answers, each after it is safe in staging."""
    if not keys:
        return
    chunks = _chunks(keys, enrichment.keys_per_call)
    asked = look_up(chunks, enrichment.call, enrichment.limits, purse, asker.share)
    progress = Progress(f"part {asker.part}, look-ups by {enrichment.provider}", len(keys))
    with reported(progress, lambda: purse.calls):
        renewing = _renewed(lake, enrichment, asker, keys, (one for _, some in asked for one in some))
        for progress.done, answer in enumerate(_kept(lake, enrichment, datetime.now(UTC), renewing), start=1):
            yield answer


def _renewed(
    lake: Lake, enrichment: Enrichment, asker: Asker, keys: Collection[Key], answered: Iterator[Answered]
) -> Iterator[Answered]:
    """Pass answers on; renew the claim on the keys now and then, long before it ends."""
    renewed = time.monotonic()
    for one in answered:
        yield one
        if time.monotonic() - renewed > RENEW_SECONDS:
            claims.take(lake, enrichment.cache, keys, asker.name, datetime.now(UTC))
            renewed = time.monotonic()


def _kept(
    lake: Lake, enrichment: Enrichment, now: datetime, answered: Iterator[Answered]
) -> Iterator[tuple[Key, Answer]]:
    """Stage answers group by group, also those that came before a failure; yield each after it is safe."""
    group: list[Answered] = []
    try:
        for one in answered:
            group.append(one)
            if len(group) >= enrichment.group:
                full, group = group, []
                cache.keep(lake, enrichment, full, now)
                yield from _signed(enrichment, full, now)
    finally:
        cache.keep(lake, enrichment, group, now)
    yield from _signed(enrichment, group, now)


def _signed(enrichment: Enrichment, answered: list[Answered], now: datetime) -> Iterator[tuple[Key, Answer]]:
    return ((a.key, {**a.answer, PROVIDER: enrichment.provider, LOOKED_UP_AT: now}) for a in answered)


def _chunks(keys: list[Key], size: int) -> Iterator[list[Key]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
