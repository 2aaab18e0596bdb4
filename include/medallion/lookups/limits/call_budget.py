"""
The call budget of one part: permits for calls, reserved in the usage ledger before they are used.

Calls are reserved in blocks of `RESERVATION`, so that a kill never leads to more calls than the budget allows. At the
end, the caller gives back what was reserved and not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

RESERVATION = 20
"""Calls reserved at a time: a kill wastes at most this many calls of the budget."""


def _unlimited(requested: int) -> int:
    return requested


@dataclass
class CallBudget:
    """
    Permits for calls, shared by the threads of one look-up.

    Args:
        reserve: reserves up to the given number of calls and returns how many were granted.
    """

    reserve: Callable[[int], int] = _unlimited
    calls: int = 0  # made
    unused: int = 0  # reserved, not made
    exhausted: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False)

    def acquire(self) -> bool:
        """Take the permit for one call; return False if the budget is exhausted."""
        with self._lock:
            if not self.unused and not self.exhausted:
                self.unused = self.reserve(RESERVATION)
                self.exhausted = not self.unused
            if self.exhausted:
                return False
            self.unused, self.calls = self.unused - 1, self.calls + 1
            return True
