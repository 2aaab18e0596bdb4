"""Progress of a long look-up, logged every few seconds: keys done and left, rate, time remaining."""

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
    """Number of keys that a look-up has answered so far."""

    title: str
    keys: int  # in total
    done: int = 0

    def line(self, seconds: float, calls: int) -> str:
        """
        Return the progress in one line.

        Args:
            seconds: elapsed time, over which the rate is averaged.
            calls: calls made so far.
        """
        rate, left = self.done / seconds, self.keys - self.done
        remaining = f"about {left / rate:,.0f} s to go" if rate else "no answer yet"
        return (
            f"{self.title}: {self.done:,} of {self.keys:,} keys done, {left:,} left, {calls:,} calls, {rate:,.1f}/s, "
            + remaining
        )


@contextmanager
def report_progress(
    progress: Progress, calls: Callable[[], int], report: Callable[[str], None] = log.info
) -> Iterator[None]:
    """
    Report the progress every `REPORT_SECONDS` while the block runs, even if nothing happens in it.

    Args:
        progress: updated by the block.
        calls: returns the number of calls made so far.
        report: receives each line; called from a background thread.
    """
    ended, started = Event(), time.monotonic()

    def run() -> None:
        while not ended.wait(REPORT_SECONDS):
            report(progress.line(time.monotonic() - started, calls()))

    thread = Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
