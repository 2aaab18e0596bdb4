"""
Call a provider for many keys: in parallel, rate-limited, within a call budget, with retries and a circuit breaker.

Answers are yielded as they arrive, so that the caller can store each before it pays for the next; a failure is raised
after all answers that had arrived. The first call is made alone: if the provider refuses it, no other is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Event, Lock
from typing import Any, TypeVar

import tenacity
from pyrate_limiter import GCRA, Limiter, Rate, SingleBucketFactory, StateBucket

from include.medallion.config.sections.enrichment import LookupSettings
from include.medallion.errors import ProviderRefused, Transient
from include.medallion.lookups.limits.call_budget import CallBudget
from include.medallion.lookups.limits.circuit_breaker import CircuitBreaker

R = TypeVar("R")  # a request
A = TypeVar("A")  # its answer

MAX_PAUSE_SECONDS = 60.0
"""Longest pause between two attempts; if a provider asks for more, the task fails and is retried later."""

_POLL_SECONDS = 0.5  # how often a thread that waits for the rate limit checks whether the look-up has ended
_SEVERITY = (CancelledError, Transient, ProviderRefused)
"""Kinds of failures, least severe first; any other is a bug and the most severe."""


def make_calls(
    requests: Iterable[R], call: Callable[[R], A], limits: LookupSettings, budget: CallBudget, share: int = 1
) -> Iterator[tuple[R, A]]:
    """
    Yield each request with its answer, in the order in which the answers arrive.

    Requests over the budget are left out. Requests are read as they are needed, at most twice the concurrency ahead of
    the answers. Closing the iterator ends the threads; it waits for the calls in flight, whose answers are lost.

    Args:
        requests: what to call the provider with.
        call: makes one call; it runs in `limits.concurrency` threads.
        limits: rate limit, concurrency, attempts, and failures that open the circuit breaker.
        budget: no call is made without its permit.
        share: number of look-ups that may run at the same time in the deployment; each has its share of the rate.

    Raises:
        ProviderRefused: the provider refused a call; no further call was started.
        Transient: a request failed `limits.max_attempts` times, the circuit breaker opened, or the provider asked for
            a pause above `MAX_PAUSE_SECONDS`; no further call was started.
    """
    stop = Event()
    guarded = CircuitBreaker(limits.max_consecutive_failures).guard(call)
    attempt = _first_call_alone(_rate_limited(guarded, limits, share, stop, budget), stop)
    with_retries = _retrying(attempt, limits.max_attempts, stop)
    with _threads(limits.concurrency, stop) as submit:
        yield from _gather(iter(requests), lambda request: submit(with_retries, request), 2 * limits.concurrency)


class _StoppedError(CancelledError):
    """No call was made, because another request's failure ended the look-up."""


class _BudgetExhaustedError(Exception):
    """No call was made, because the call budget is exhausted."""


def _gather(requests: Iterator[R], submit: Callable[[R], Future[A]], ahead: int) -> Iterator[tuple[R, A]]:
    in_flight = {submit(request): request for request in islice(requests, ahead)}
    failures: list[BaseException] = []
    while in_flight:
        done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
        for future in done:
            request = in_flight.pop(future)
            failure = _failure(future)
            if failure is None:
                yield request, future.result()
            else:
                failures.append(failure)
        if not failures:
            in_flight |= {submit(request): request for request in islice(requests, ahead - len(in_flight))}
    if fatal := [failure for failure in failures if not isinstance(failure, _BudgetExhaustedError)]:
        raise max(fatal, key=_severity)


def _failure(future: Future[Any]) -> BaseException | None:
    return CancelledError() if future.cancelled() else future.exception()


def _severity(failure: BaseException) -> int:
    return next((rank for rank, kind in enumerate(_SEVERITY) if isinstance(failure, kind)), len(_SEVERITY))


@contextmanager
def _threads(count: int, stop: Event) -> Iterator[Callable[[Callable[[R], A], R], Future[A]]]:
    """Run calls in threads that end with the block; the first failure sets `stop`."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="look-up")

    def stop_on_failure(future: Future[Any]) -> None:
        failure = _failure(future)
        if failure is not None and not isinstance(failure, _BudgetExhaustedError):
            stop.set()

    def submit(call: Callable[[R], A], request: R) -> Future[A]:
        future = pool.submit(call, request)
        future.add_done_callback(stop_on_failure)
        return future

    try:
        yield submit
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _rate_limited(
    call: Callable[[R], A], limits: LookupSettings, share: int, stop: Event, budget: CallBudget
) -> Callable[[R], A]:
    """Space calls evenly and take a permit for each; make none once `stop` is set or the budget is exhausted."""
    take_turn = _rate_limiter(limits.calls_per_second / share) if limits.calls_per_second else lambda: True

    def limited(request: R) -> A:
        while not stop.is_set() and not take_turn():
            pass
        if stop.is_set():
            raise _StoppedError
        if not budget.acquire():
            raise _BudgetExhaustedError
        return call(request)

    return limited


def _first_call_alone(call: Callable[[R], A], stop: Event) -> Callable[[R], A]:
    """Make the first call alone; the others follow unless it was refused."""
    first_call, allowed = Lock(), Event()

    def probe(request: R) -> A:
        try:
            answer = call(request)
        except (Transient, _BudgetExhaustedError):
            allowed.set()
            raise
        except BaseException:
            stop.set()
            raise
        allowed.set()
        return answer

    def guarded(request: R) -> A:
        if not allowed.is_set():
            with first_call:
                if not allowed.is_set():
                    return probe(request)
        return call(request)

    return guarded


def _rate_limiter(calls_per_second: float) -> Callable[[], bool]:
    # a whole number of calls in a whole number of milliseconds; no bursts, since the provider's second is not ours
    calls = max(1, math.floor(calls_per_second))
    rate = Rate(calls, math.ceil(1000 * calls / calls_per_second), burst=1)
    # GCRA stores nothing that a background thread would have to delete
    limiter = Limiter(SingleBucketFactory(StateBucket([rate], GCRA()), schedule_leak=False), buffer_ms=0)
    return lambda: bool(limiter.try_acquire(timeout=_POLL_SECONDS))


def _retrying(call: Callable[[R], A], max_attempts: int, stop: Event) -> Callable[[R], A]:
    """Retry transient failures with exponential backoff and jitter, or after the pause that the provider asked for."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_retryable),
        stop=tenacity.stop_after_attempt(max_attempts) | tenacity.stop_when_event_set(stop),
        wait=_retry_delay,
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )
    return lambda request: retrying(call, request)


def _is_retryable(failure: BaseException) -> bool:
    return isinstance(failure, Transient) and (failure.retry_after or 0) <= MAX_PAUSE_SECONDS


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=20)  # seconds


def _retry_delay(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, Transient) and failure.retry_after is not None:
        # a random addition, or all threads of all tasks would call in the same instant
        return failure.retry_after + random.uniform(0, 1)  # noqa: S311 (no secret)
    return _backoff(state)
