"""A circuit breaker: after a number of consecutive failures, over all keys, the provider is not called any more."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from include.medallion.errors import Transient

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
COOL_DOWN_SECONDS = 61.0
"""Pause before the next call: longer than `calls.MAX_PAUSE_SECONDS`, so that the task ends and is retried later."""


class CircuitBreaker:
    """Counts consecutive failures; shared by threads."""

    def __init__(self, max_consecutive_failures: int) -> None:
        """
        Begin with a closed circuit.

        Args:
            max_consecutive_failures: the circuit opens at this number of failures without a success between them.
        """
        self.max_consecutive_failures = max_consecutive_failures
        self._failures, self._lock = 0, Lock()

    def guard(self, call: Callable[[RequestT], AnswerT]) -> Callable[[RequestT], AnswerT]:
        """
        Return `call`, counting its failures.

        Raises:
            Transient: by the returned function, as `call` raises it; once the circuit is open, with a `retry_after` of
                at least `COOL_DOWN_SECONDS`.
        """

        def guarded(request: RequestT) -> AnswerT:
            try:
                answer = call(request)
            except Transient as failure:
                if self._count_failure() >= self.max_consecutive_failures:
                    raise self._open_circuit(failure) from failure
                raise
            with self._lock:
                self._failures = 0
            return answer

        return guarded

    def _count_failure(self) -> int:
        with self._lock:
            self._failures += 1
            return self._failures

    def _open_circuit(self, failure: Transient) -> Transient:
        return Transient(
            f"{self.max_consecutive_failures:,} calls in a row failed (max_consecutive_failures), the last one with: "
            f"{failure}. Results so far are kept; the task's retry looks up the missing keys",
            retry_after=max(COOL_DOWN_SECONDS, failure.retry_after or 0),
        )
