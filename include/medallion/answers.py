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

from include.medallion import cache, calls, claims
from include.medallion.calls import Payer
from include.medallion.enrichment import KEEP, Enrichment
from include.medallion.found import Found
from include.medallion.keys import Key
from include.medallion.lake import Lake
from include.medallion.lookups import look_up
from include.medallion.progress import Progress, reported
from include.medallion.purse import Purse
from include.medallion.schema import MOMENT

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 1.0
Answered = tuple[list[Key], pa.Table]  # keys, and a row for each
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


def find(lake: Lake, enrichment: Enrichment, asker: Asker, wanted: Mapping[Key, int], now: datetime) -> Found:
    """
    Answer keys; those over the budget are left out.

    Raises:
        ProviderRefused, Transient: as `lookups.look_up`. What was paid for until
            then is staged: the next try pays for the rest.
    """
    found = Found(enrichment, wanted)
    _look(lake, found, list(wanted), now)
    missing = found.missing()
    if missing and enrichment.limits is None:
        for answered in _kept(lake, enrichment, now, _free(enrichment, missing)):
            found.add(*answered)
    elif missing:
        _buy(lake, asker, missing, found)
    return found


def _look(lake: Lake, found: Found, keys: list[Key], now: datetime) -> None:
    """Look into the cache for keys without an answer."""
    before = len(found)
    for answered in cache.known(lake, found.enrichment, keys, now):
        found.add(*answered)
    found.cached += len(found) - before


def _free(enrichment: Enrichment, keys: list[Key]) -> Iterator[Answered]:
    return ((chunk, enrichment.call(chunk)) for chunk in _chunks(keys, enrichment.keys_per_call))


def _buy(lake: Lake, asker: Asker, missing: list[Key], found: Found) -> None:
    """Ask for what nobody else has claimed; wait for the answers of the others, or for the end of their claims."""
    enrichment = found.enrichment
    with _purse(lake, asker, found) as purse, _claimed(lake, asker):
        while True:
            mine = claims.take(lake, enrichment.cache, missing, asker.name, datetime.now(UTC))
            _look(lake, found, missing, datetime.now(UTC))  # what others answered until that claim
            for answered in _asked(lake, enrichment, asker, [key for key in mine if key not in found], purse):
                found.add(*answered)
            done = {*mine}
            missing = [key for key in missing if key not in done and key not in found]
            if not missing:
                return
            log.info("another task is looking up %s keys: waiting for its answers", f"{len(missing):,}")
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _purse(lake: Lake, asker: Asker, found: Found) -> Iterator[Purse]:
    """Lend the part's purse; what it spent is in the account at the end, however that comes."""
    limits, now = found.enrichment.limits, datetime.now(UTC)
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


def _asked(lake: Lake, enrichment: Enrichment, asker: Asker, keys: list[Key], purse: Purse) -> Iterator[Answered]:
    """Yield new answers, each after it is safe in staging."""
    if not keys:
        return
    chunks = _chunks(keys, enrichment.keys_per_call)
    asked = look_up(chunks, enrichment.call, enrichment.limits, purse, asker.share)
    progress = Progress(f"part {asker.part}, look-ups by {enrichment.provider}", len(keys))
    with reported(progress, lambda: purse.calls):
        renewing = _renewed(lake, enrichment, asker, keys, asked)
        for some, answers in _kept(lake, enrichment, datetime.now(UTC), renewing):
            progress.done += len(some)
            yield some, answers


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


def _kept(lake: Lake, enrichment: Enrichment, now: datetime, answered: Iterator[Answered]) -> Iterator[Answered]:
    """Stage answers group by group, also those that came before a failure; yield each, signed, once it is safe."""
    group: list[Answered] = []
    try:
        for one in answered:
            group.append(one)
            if sum(len(keys) for keys, _ in group) >= enrichment.group:
                full, group = group, []
                yield _staged(lake, enrichment, full, now)
    finally:
        rest = _staged(lake, enrichment, group, now) if group else None
    if rest:
        yield rest


def _staged(lake: Lake, enrichment: Enrichment, group: list[Answered], now: datetime) -> Answered:
    keys, answers = [key for some, _ in group for key in some], pa.concat_tables(answers for _, answers in group)
    cache.keep(lake, enrichment, keys, answers, now)
    provider = pa.repeat(enrichment.provider, len(keys))
    signed = [*answers.drop_columns([KEEP]).columns, provider, pa.repeat(pa.scalar(now, MOMENT), len(keys))]
    return keys, pa.table(signed, schema=enrichment.kept)


def _chunks(keys: list[Key], size: int) -> Iterator[list[Key]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
