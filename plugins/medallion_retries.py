"""When a failed task is tried again: not at all if a person must act, else after a random, growing delay."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

LONGEST_WISH = 86_400.0  # seconds another side may ask us to wait
_MOST_DOUBLINGS = 30
_random = random.SystemRandom()


@dataclass(frozen=True)
class PatientRetries(RetryPolicy):
    """
    Retry with full jitter: any delay up to `base` seconds, doubled with each try, at most `cap`.

    Airflow's own back-off is a hash that leaves out the map index, so all parts
    of a run would come back in the same second. The task's `retries` still
    limits the number of tries.
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
        """Fail at once on `Refused`; wait as long as `Transient` was asked to; else back off."""
        from include.medallion.errors import Refused, Transient
        from include.medallion.redaction.patterns import redact_patterns

        kind = type(exception).__name__
        if isinstance(exception, Refused):
            return RetryDecision.fail(f"not retried, a person must act: {kind}: {redact_patterns(str(exception))}")
        wished = exception.retry_after if isinstance(exception, Transient) else None
        if wished is not None:
            delay = max(0.0, min(wished, LONGEST_WISH)) + _random.uniform(0, self.base)
            return RetryDecision.retry(timedelta(seconds=delay), f"{kind}: asked to wait {wished:g} s")
        ceiling = min(self.cap, self.base * 2 ** min(max(try_number - 1, 0), _MOST_DOUBLINGS))
        return RetryDecision.retry(timedelta(seconds=_random.uniform(0, ceiling)), f"{kind}: backing off")

    def serialize(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PatientRetries:
        """Inverse of `serialize`."""
        return cls(**data)
