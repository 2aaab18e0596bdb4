"""A circuit breaker: after some failed calls in a row, over all questions, nobody asks any more."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from include.medallion.errors import Transient

Q = TypeVar("Q")
A = TypeVar("A")
COOL_DOWN_SECONDS = 61.0  # above what a look-up sleeps through: the task ends, and its retry waits as long


class CircuitBreaker:
    """Counts the calls that failed since one succeeded; shared by threads."""

    def __init__(self, give_up_after: int) -> None:
        """Open after so many failures in a row."""
        self.max_consecutive_failures = give_up_after
        self._failed, self._lock = 0, Lock()

    def guard(self, ask: Callable[[Q], A]) -> Callable[[Q], A]:
        """
        Return `ask` under the circuit's watch.

        Raises:
            Transient: with a longer pause than `ask` itself asks for, once the circuit is open.
        """

        def guarded(question: Q) -> A:
            try:
                answer = ask(question)
            except Transient as failure:
                if self._count() >= self.max_consecutive_failures:
                    raise self._opened(failure) from failure
                raise
            with self._lock:
                self._failed = 0
            return answer

        return guarded

    def _count(self) -> int:
        with self._lock:
            self._failed += 1
            return self._failed

    def _opened(self, failure: Transient) -> Transient:
        return Transient(
            f"{self.max_consecutive_failures} calls in a row failed (give_up_after), the last one: {failure}. "
            "What was answered is kept; the task's retry asks for the rest",
            retry_after=max(COOL_DOWN_SECONDS, failure.retry_after or 0),
        )
