"""The part of the source's write-ahead log that a window reads, in log positions (LSNs) as numbers, and its slot."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


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


def slot_name(pipeline: str, lake_root: str) -> str:
    """
    Return the name of a pipeline's slot.

    Args:
        pipeline: its name, of lower-case letters, digits and underscores.
        lake_root: URI of the lake.
    """
    return f"{slot_prefix(lake_root)}{pipeline}"[:63]


def slot_prefix(lake_root: str) -> str:
    """Return how the names of all slots of a lake's pipelines begin."""
    return f"medallion_{sha256(lake_root.encode()).hexdigest()[:8]}_"
