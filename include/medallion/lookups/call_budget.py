"""
The calls that one part may make: counted one by one, and handed out only if the budget has them.

With a budget, calls are booked in the account before they are made, a slice at
a time: whatever is killed, never one more than the budget is made. What was
booked and not made is given back at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

RESERVATION = 20
"""Calls booked at a time: what a kill may cost of the budget."""


def _unlimited(wish: int) -> int:
    return wish


@dataclass
class CallBudget:
    """
    Hands out calls; shared by the threads of one look-up.

    Args:
        book: books so many calls at most, and returns how many were granted.
    """

    book: Callable[[int], int] = _unlimited
    calls: int = 0  # made
    left: int = 0  # booked, not made
    empty: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False)

    def acquire(self) -> bool:
        """Take one call out; False if the budget has none."""
        with self._lock:
            if not self.left and not self.empty:
                self.left = self.book(RESERVATION)
                self.empty = not self.left
            if self.empty:
                return False
            self.left, self.calls = self.left - 1, self.calls + 1
            return True
