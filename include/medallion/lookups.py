"""
Ask a geocoder for many keys: in parallel, at a bounded rate, with patience.

Answers are handed out as they arrive, so that the caller can store each before
the next is paid for. Whatever ends a look-up early, all answers that had
arrived are handed out first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Event, Lock

import tenacity
from pyrate_limiter import GCRA, Limiter, Rate, SingleBucketFactory, StateBucket

from include.medallion.errors import ProviderRefused, Transient
from include.medallion.geocoders import Geocoder
from include.medallion.geocoders.location import Locate, Location
from include.medallion.pipeline import Geocode

Key = tuple[str, str]

# A provider that asks for a longer pause is left alone: the task fails and is retried, its slot free meanwhile.
LONGEST_PAUSE_SECONDS = 60.0

# How long a thread that waits for its turn may overlook that there will be none.
_POLL_SECONDS = 0.5


@dataclass
class Tally:
    """What a look-up has cost so far: attempts that were sent, whatever came back."""

    calls: int = 0


def answers(
    keys: Iterable[Key], geocoder: Geocoder, settings: Geocode, share: int = 1, tally: Tally | None = None
) -> Iterator[tuple[Key, Location]]:
    """Ask this geocoder for each key: paced and counted if it is metered, at once and for nothing if it is not."""
    if geocoder.metered:
        return look_up(keys, geocoder.locate, settings, share, tally)
    return ((key, geocoder.locate(*key)) for key in keys)


def look_up(
    keys: Iterable[Key], locate: Locate, settings: Geocode, share: int = 1, tally: Tally | None = None
) -> Iterator[tuple[Key, Location]]:
    """
    Yield each key with its answer, in the order of the answers.

    `settings.concurrency` threads make at most `settings.calls_per_second /
    share` calls a second together; `share` is how many look-ups may run at the
    same time in the deployment. Keys are read as they are needed, at most twice
    the concurrency ahead of the answers: a caller may end them, by `tally`, to
    stay in a budget. Closing the iterator ends the threads; it waits for the
    calls in flight, whose answers are lost.

    Raises:
        ProviderRefused: no call after it was begun but those in flight.
        Transient: a key failed `settings.attempts` times, or the provider asked
            for a pause above LONGEST_PAUSE_SECONDS; none was begun after it.
    """
    halt = Event()
    ask = _patient(_paced(locate, settings.calls_per_second / share, halt, tally or Tally()), settings.attempts, halt)
    with _threads(settings.concurrency, halt) as begin:
        yield from _gather(iter(keys), lambda key: begin(key, ask), 2 * settings.concurrency)


class _Halted(Exception):
    """A key that was not asked, or not again, since another key's failure ended the look-up."""


def _gather(
    keys: Iterator[Key], begin: Callable[[Key], Future[Location]], ahead: int
) -> Iterator[tuple[Key, Location]]:
    flying = {begin(key): key for key in islice(keys, ahead)}
    failures: list[BaseException] = []
    while flying:
        done, _ = wait(flying, return_when=FIRST_COMPLETED)
        for future in done:
            key = flying.pop(future)
            failure = _failure(future)
            if failure is None:
                yield key, future.result()
            else:
                failures.append(failure)
        if not failures:
            flying |= {begin(key): key for key in islice(keys, ahead - len(flying))}
    if failures:
        raise _gravest(failures)


def _failure(future: Future[Location]) -> BaseException | None:
    return CancelledError() if future.cancelled() else future.exception()


def _gravest(failures: list[BaseException]) -> BaseException:
    """Choose a bug before a refusal before what may pass; the halted only followed one of them."""
    ranks = (CancelledError, _Halted), Transient, ProviderRefused
    return max(failures, key=lambda f: next((rank for rank, kind in enumerate(ranks) if isinstance(f, kind)), 3))


@contextmanager
def _threads(count: int, halt: Event) -> Iterator[Callable[[Key, Locate], Future[Location]]]:
    """Run calls in threads, none of which outlives the block; the first failure sets `halt`, in its own thread."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="look-up")

    def note(future: Future[Location]) -> None:
        if _failure(future) is not None:
            halt.set()

    def begin(key: Key, ask: Locate) -> Future[Location]:
        future = pool.submit(ask, *key)
        future.add_done_callback(note)
        return future

    try:
        yield begin
    finally:
        halt.set()
        pool.shutdown(cancel_futures=True)


def _paced(locate: Locate, calls_per_second: float, halt: Event, tally: Tally) -> Locate:
    """Let one call through at a time, evenly spaced, and count it; none once `halt` is set."""
    limiter, counting = _limiter(calls_per_second), Lock()

    def call(country: str, postcode: str) -> Location:
        while not halt.is_set() and not limiter.try_acquire(timeout=_POLL_SECONDS):
            pass
        with counting:
            if halt.is_set():
                raise _Halted
            tally.calls += 1
        return locate(country, postcode)

    return call


def _limiter(calls_per_second: float) -> Limiter:
    # Whole calls in whole milliseconds; a burst of one, since the provider's second is not ours.
    calls = max(1, math.floor(calls_per_second))
    rate = Rate(calls, math.ceil(1000 * calls / calls_per_second), burst=1)
    # This algorithm keeps nothing to sweep up: no thread for it.
    return Limiter(SingleBucketFactory(StateBucket([rate], GCRA()), schedule_leak=False), buffer_ms=0)


def _patient(locate: Locate, attempts: int, halt: Event) -> Locate:
    """Repeat a call that failed in a way that may pass, after a random pause that grows, or the one asked for."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_worth_waiting),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(halt),
        wait=_pause,
        sleep=tenacity.sleep_using_event(halt),
        reraise=True,
    )
    return lambda country, postcode: retrying(locate, country, postcode)


def _worth_waiting(failure: BaseException) -> bool:
    return isinstance(failure, Transient) and (failure.retry_after or 0) <= LONGEST_PAUSE_SECONDS


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=20)


def _pause(state: tenacity.RetryCallState) -> float:
    asked = state.outcome.exception().retry_after
    # Some more than was asked, or all threads of all tasks come back in the same instant.
    return _backoff(state) if asked is None else asked + random.uniform(0, 1)  # noqa: S311 (no secret)
