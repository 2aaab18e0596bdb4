"""Long look-ups say how far they are, every few seconds: done, left, rate, estimated end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

log = logging.getLogger(__name__)
REPORT_SECONDS = 5.0


@dataclass
class Progress:
    """How far a look-up is."""

    what: str
    count: int
    done: int = 0

    def line(self, seconds: float, calls: int) -> str:
        """Return one line; the rate is that since the beginning."""
        rate, left = self.done / seconds, self.count - self.done
        end = f"about {left / rate:,.0f} s to go" if rate else "no answer yet"
        return (
            f"{self.what}: {self.done:,} of {self.count:,} done, {left:,} left, {calls:,} calls, {rate:,.1f}/s, {end}"
        )


@contextmanager
def report_progress(
    progress: Progress, calls: Callable[[], int], tell: Callable[[str], None] = log.info
) -> Iterator[None]:
    """Tell how far it is every few seconds while the block runs, also while nothing comes."""
    ended, begun = Event(), time.monotonic()

    def report() -> None:
        while not ended.wait(REPORT_SECONDS):
            tell(progress.line(time.monotonic() - begun, calls()))

    thread = Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
