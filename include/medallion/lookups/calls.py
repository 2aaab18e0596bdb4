"""
Ask a provider many questions: in parallel, at a bounded rate, within a budget, with patience.

Answers are handed out as they arrive, so that the caller can store each before
the next is paid for. Whatever ends a look-up early, all answers that had
arrived are handed out first. The first call goes alone: if the provider refuses
it, it was the only one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Event, Lock
from typing import TypeVar

import tenacity
from pyrate_limiter import GCRA, Limiter, Rate, SingleBucketFactory, StateBucket

from include.medallion.config.enrichment import LookupSettings
from include.medallion.errors import ProviderRefused, Transient
from include.medallion.lookups.call_budget import CallBudget
from include.medallion.lookups.circuit_breaker import CircuitBreaker

Q = TypeVar("Q")
A = TypeVar("A")

# A provider that asks for a longer pause is left alone: the task fails and is retried, its slot free meanwhile.
MAX_PAUSE_SECONDS = 60.0

# How long a thread that waits for its turn may overlook that there will be none.
_POLL_SECONDS = 0.5


def make_calls(
    questions: Iterable[Q], ask: Callable[[Q], A], limits: LookupSettings, purse: CallBudget, share: int = 1
) -> Iterator[tuple[Q, A]]:
    """
    Yield each question with its answer, in the order of the answers; questions over the budget are left out.

    `limits.concurrency` threads make at most `limits.calls_per_second / share`
    calls a second together; `share` is how many look-ups may run at the same
    time in the deployment. Questions are read as they are needed, at most twice
    the concurrency ahead of the answers. No call is made that `purse` does not
    hand out. Closing the iterator ends the threads; it waits for the calls in
    flight, whose answers are lost.

    Raises:
        ProviderRefused: no call after it was begun but those in flight.
        Transient: a question failed `limits.attempts` times, `limits.give_up_after`
            calls in a row failed, or the provider asked for a pause above
            LONGEST_PAUSE_SECONDS; none was begun after it.
    """
    halt = Event()
    once = _rate_limited(CircuitBreaker(limits.max_consecutive_failures).guard(ask), limits, share, halt, purse)
    patient = _retrying(once, limits.attempts, halt)
    with _threads(limits.concurrency, halt) as begin:
        yield from _gather(iter(questions), lambda question: begin(patient, question), 2 * limits.concurrency)


class _StoppedError(Exception):
    """A question that was not asked, or not again, since another's failure ended the look-up."""


class _BudgetExhaustedError(Exception):
    """A question that there is no money for."""


def _gather(questions: Iterator[Q], begin: Callable[[Q], Future[A]], ahead: int) -> Iterator[tuple[Q, A]]:
    flying = {begin(question): question for question in islice(questions, ahead)}
    failures: list[BaseException] = []
    while flying:
        done, _ = wait(flying, return_when=FIRST_COMPLETED)
        for future in done:
            question = flying.pop(future)
            failure = _failure(future)
            if failure is None:
                yield question, future.result()
            else:
                failures.append(failure)
        if not failures:
            flying |= {begin(question): question for question in islice(questions, ahead - len(flying))}
    if grave := [failure for failure in failures if not isinstance(failure, _BudgetExhaustedError)]:
        raise _most_severe(grave)


def _failure(future: Future) -> BaseException | None:
    return CancelledError() if future.cancelled() else future.exception()


def _most_severe(failures: list[BaseException]) -> BaseException:
    """Choose a bug before a refusal before what may pass; the halted only followed one of them."""
    ranks = (CancelledError, _StoppedError), Transient, ProviderRefused
    return max(failures, key=lambda f: next((rank for rank, kind in enumerate(ranks) if isinstance(f, kind)), 3))


@contextmanager
def _threads(count: int, halt: Event) -> Iterator[Callable[[Callable[[Q], A], Q], Future[A]]]:
    """Run calls in threads, none of which outlives the block; the first failure sets `halt`, in its own thread."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="look-up")

    def note(future: Future) -> None:
        failure = _failure(future)
        if failure is not None and not isinstance(failure, _BudgetExhaustedError):
            halt.set()

    def begin(ask: Callable[[Q], A], question: Q) -> Future[A]:
        future = pool.submit(ask, question)
        future.add_done_callback(note)
        return future

    try:
        yield begin
    finally:
        halt.set()
        pool.shutdown(cancel_futures=True)


def _rate_limited(
    ask: Callable[[Q], A], limits: LookupSettings, share: int, halt: Event, purse: CallBudget
) -> Callable[[Q], A]:
    """Let one call through at a time, evenly spaced, and count it; none once `halt` is set or the purse is empty."""
    take_turn = _rate_limiter(limits.calls_per_second / share) if limits.calls_per_second else lambda: True

    def call(question: Q) -> A:
        while not halt.is_set() and not take_turn():
            pass
        if halt.is_set():
            raise _StoppedError
        if not purse.acquire():
            raise _BudgetExhaustedError
        return ask(question)

    return _first_call_alone(call, halt)


def _first_call_alone(ask: Callable[[Q], A], halt: Event) -> Callable[[Q], A]:
    """Let the first call go alone; the others follow if it was not refused."""
    scouting, cleared = Lock(), Event()

    def scout(question: Q) -> A:
        try:
            answer = ask(question)
        except (Transient, _BudgetExhaustedError):
            cleared.set()
            raise
        except BaseException:
            halt.set()
            raise
        cleared.set()
        return answer

    def call(question: Q) -> A:
        if not cleared.is_set():
            with scouting:
                if not cleared.is_set():
                    return scout(question)
        return ask(question)

    return call


def _rate_limiter(calls_per_second: float) -> Callable[[], bool]:
    # Whole calls in whole milliseconds; a burst of one, since the provider's second is not ours.
    calls = max(1, math.floor(calls_per_second))
    rate = Rate(calls, math.ceil(1000 * calls / calls_per_second), burst=1)
    # This algorithm keeps nothing to sweep up: no thread for it.
    limiter = Limiter(SingleBucketFactory(StateBucket([rate], GCRA()), schedule_leak=False), buffer_ms=0)
    return lambda: limiter.try_acquire(timeout=_POLL_SECONDS)


def _retrying(ask: Callable[[Q], A], attempts: int, halt: Event) -> Callable[[Q], A]:
    """Repeat a call that failed in a way that may pass, after a random pause that grows, or the one asked for."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_retryable),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(halt),
        wait=_retry_delay,
        sleep=tenacity.sleep_using_event(halt),
        reraise=True,
    )
    return lambda question: retrying(ask, question)


def _is_retryable(failure: BaseException) -> bool:
    return isinstance(failure, Transient) and (failure.retry_after or 0) <= MAX_PAUSE_SECONDS


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=20)


def _retry_delay(state: tenacity.RetryCallState) -> float:
    asked = state.outcome.exception().retry_after
    # Some more than was asked, or all threads of all tasks come back in the same instant.
    return _backoff(state) if asked is None else asked + random.uniform(0, 1)  # noqa: S311 (no secret)
