"""
Read a slow source in the background, so that a request never waits for it.

One thread reads, at most one reading at a time. A request gets the newest value that has been read, with the reason why
there is no newer one. The thread starts with the first request: nothing runs before a server forks its workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Background(Generic[T]):
    """
    A value that is read again when it is asked for and older than `max_age` seconds.

    Args:
        read: receives the previous value, None at first, and returns the new one.
    """

    read: Callable[[T | None], T]
    max_age: float
    value: T | None = None
    error: str | None = None
    _read_at: float = float("-inf")
    _reading: Future[None] | None = None
    _pool: ThreadPoolExecutor | None = None
    _lock: Lock = field(default_factory=Lock)

    def newest(self, seconds: float) -> tuple[T | None, str | None]:
        """
        Return the newest value, and why the last attempt to read a newer one failed.

        Args:
            seconds: how long to wait at most if there is no value yet; one that is old is returned at once.
        """
        reading = self._begin()
        if reading and self.value is None:
            wait([reading], timeout=seconds)
            if not reading.done():
                return None, f"no answer in {seconds:g} s; still reading"
        return self.value, self.error

    def _begin(self) -> Future[None] | None:
        with self._lock:
            if self._reading and not self._reading.done():
                return self._reading
            if time.monotonic() - self._read_at < self.max_age:
                return None
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="medallion-page")
            self._reading = self._pool.submit(self._refresh)
            return self._reading

    def _refresh(self) -> None:
        try:
            self.value, self.error = self.read(self.value), None
        except Exception as e:  # noqa: BLE001 (whatever failed, the page says so and stays up)
            self.error = f"the lake cannot be read ({type(e).__name__})"
        finally:
            self._read_at = time.monotonic()
