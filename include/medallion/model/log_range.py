"""The part of the source's write-ahead log that a window reads, in log positions (LSNs) as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogRange:
    """
    The changes between two positions of the log, and what they continue.

    Args:
        slot: replication slot that keeps them.
        after: position of the slot when the window was opened.
        upto: where the window ends: all that its snapshot saw had been logged by then.
        base: newest batch that every sink must hold: what was logged before `after` came with it or earlier.
        late: document with keys that are read again because their version was not final; empty if there is none.
    """

    slot: str
    after: int
    upto: int
    base: int
    late: str = ""


def lsn_text(position: int) -> str:
    """
    Return a log position as PostgreSQL writes it.

    >>> lsn_text(25_000_000_000)
    '5/D21DBA00'
    """
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
