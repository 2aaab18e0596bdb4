"""Row counts: what a sink did with the rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Applied:
    """
    What a sink did with the rows it was given.

    Args:
        withdrawn: rows of older versions that were marked as deleted, or removed: their new version is quarantined.
    """

    read: int
    inserted: int
    updated: int
    superseded: int  # the sink holds this version or a newer one
    replayed: bool = False  # the sink held the whole batch
    version: int | None = None  # of the Delta table
    deleted: int = 0  # rows that were marked or removed because the source no longer has them
    withdrawn: int = 0

    @classmethod
    def replay(cls, rows: int, version: int | None = None) -> Applied:
        """Account for a batch that the sink holds already."""
        return cls(rows, 0, 0, rows, replayed=True, version=version)

    @property
    def accounted(self) -> int:
        """Rows whose outcome is known."""
        return self.inserted + self.updated + self.superseded + self.deleted
