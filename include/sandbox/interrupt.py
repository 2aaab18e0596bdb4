"""Commands that start servers leave all of them running, or none that they started."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.sandbox import stack
from include.sandbox.stack import Say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def turn_signals_into_interrupts() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def all_or_none(state: Path, say: Say) -> Iterator[set[str]]:
    """
    Stop the servers that the block started if it fails or is interrupted.

    Yields:
        The names of the processes that ran before.
    """
    before = {name for name, alive in stack.running(state).items() if alive}
    with _one_interrupt():
        try:
            yield before
        except BaseException:
            stack.down(state, say, keep=before)
            say("stopped")
            raise


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Ignore every signal after the first: an impatient second Ctrl-C would leave servers behind."""

    def interrupt(*_: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        print("\ninterrupted: stopping what was started", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)
