"""What goes wrong, when, and for which calls."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace
from typing import Any

STATUSES = (
    "ZERO_RESULTS",
    "OVER_QUERY_LIMIT",
    "OVER_DAILY_LIMIT",
    "REQUEST_DENIED",
    "INVALID_REQUEST",
    "UNKNOWN_ERROR",
)
TRANSPORT = ("hang", "disconnect", "truncated", "not_json", "slow_head", "slow_body", "gzip_bomb")
ANSWERS = ("wrong_country", "null_island", "no_geometry", "several", "partial_match")
KINDS = (*STATUSES, *TRANSPORT, *ANSWERS)


@dataclass(frozen=True)
class Fault:
    """
    One way to fail.

    `kind` is one of KINDS or an HTTP code as text ("503"). It strikes the next
    `times` calls (None: for ever), or a `share` of calls between 0 and 1, or
    only calls for one `postcode`, spelt as it is asked.
    """

    kind: str
    times: int | None = None
    share: float = 1
    postcode: str | None = None
    retry_after: str | None = None  # sent as Retry-After: seconds or an HTTP date

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not (self.kind.isdigit() and 300 <= int(self.kind) <= 599):  # noqa: PLR2004
            raise ValueError(f"no fault {self.kind!r}: there are {', '.join(KINDS)} and HTTP codes from 300 to 599")

    @classmethod
    def read(cls, document: dict[str, Any]) -> Fault:
        """Make one from JSON; the kind stands under `fault`."""
        values = {"kind": str(document.pop("fault", "")), **document}
        if values.get("retry_after") is not None:
            values["retry_after"] = str(values["retry_after"])
        return cls(**values)


class Faults:
    """The faults in force; the first that strikes a call is its fate. Safe in threads."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._random = random.Random(seed)

    def add(self, fault: Fault) -> None:
        """Put a fault in force, behind those that are."""
        with self._lock:
            self._faults.append(fault)

    def clear(self, seed: int = 0) -> None:
        """Let everything work again; shares are drawn again from `seed`."""
        with self._lock:
            self._faults.clear()
            self._random.seed(seed)

    def strike(self, postcode: str) -> Fault | None:
        """Draw the fate of one call."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.postcode in {None, postcode} and self._random.random() < fault.share:
                    self._spend(index, fault)
                    return fault
        return None

    def _spend(self, index: int, fault: Fault) -> None:
        if fault.times is not None and fault.times <= 1:
            del self._faults[index]
        elif fault.times is not None:
            self._faults[index] = replace(fault, times=fault.times - 1)
