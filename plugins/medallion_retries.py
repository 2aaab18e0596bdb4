"""Retry policy: no retry if a person must act, otherwise exponential backoff with jitter."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

MAX_RETRY_AFTER = 86_400.0  # seconds
_MAX_DOUBLINGS = 30
_random = random.SystemRandom()


@dataclass(frozen=True)
class PatientRetries(RetryPolicy):
    """
    Retry after a random delay of up to `base` seconds, doubled with each attempt, at most `cap` seconds (full jitter).

    Airflow's own exponential backoff ignores the map index, so all parts of a run would retry in the same second. The
    task's `retries` still limits the number of attempts.
    """

    base: float = 10.0
    cap: float = 300.0

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 Airflow counts
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Do not retry `Refused`; wait for `Transient.retry_after` if it is set; otherwise back off."""
        from include.medallion.errors import Refused, Transient
        from include.medallion.redaction.patterns import redact_patterns

        kind = type(exception).__name__
        if isinstance(exception, Refused):
            return RetryDecision.fail(f"not retried, a person must act: {kind}: {redact_patterns(str(exception))}")
        retry_after = exception.retry_after if isinstance(exception, Transient) else None
        if retry_after is not None:
            delay = max(0.0, min(retry_after, MAX_RETRY_AFTER)) + _random.uniform(0, self.base)
            return RetryDecision.retry(timedelta(seconds=delay), f"{kind}: asked to wait {retry_after:g} s")
        ceiling = min(self.cap, self.base * 2 ** min(max(try_number - 1, 0), _MAX_DOUBLINGS))
        return RetryDecision.retry(timedelta(seconds=_random.uniform(0, ceiling)), f"{kind}: backing off")

    def serialize(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PatientRetries:
        """Inverse of `serialize`."""
        return cls(**data)
