"""
32-bit transaction ids of rows as 64-bit versions that never wrap around.

On disk a row carries 32 bits; the epoch above them comes from the snapshot.
`age(xmin)` is the cheapest way to reach them in SQL (a third of a cast to text
and number), and within one transaction it counts from a fixed id.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.medallion.window import Mode, Window

EPOCH = 1 << 32
INT_MAX = 2**31 - 1  # age() of ids that are no transactions: rows from before any


@dataclass(frozen=True, slots=True)
class Clock:
    """The next transaction id of the session that reads, and how `age(xmin)` maps to 64-bit ids."""

    now: int

    @classmethod
    def read(cls, xmax: int, age_of_3: int) -> Clock:
        """
        Combine the snapshot's 64-bit xmax with the 32-bit distance that age() counts from.

        Within one transaction age() counts from a fixed id that is never below xmax.
        """
        low = (3 + age_of_3) % EPOCH
        return cls(xmax + (low - xmax) % EPOCH)

    def version_sql(self) -> str:
        """Return the SQL expression of a row's 64-bit transaction id; 0 for rows from before any (bootstrap)."""
        return (
            f"CASE WHEN age(xmin) = {INT_MAX} THEN 0 "
            f"WHEN age(xmin) < 0 THEN {self.now - EPOCH} - age(xmin) ELSE {self.now} - age(xmin) END"
        )

    def where_sql(self, window: Window) -> str:
        """
        Return the SQL condition that selects the window's rows.

        age() of an id more than 2^31 back is negative: such rows are frozen and
        old, never new. A window that reaches that far back reads all old rows.
        """
        if window.mode in {Mode.REFRESH, Mode.RECONCILE}:
            return "true"
        newest = self.now - window.upto
        if window.after > 0 and self.now - window.after < INT_MAX:
            return f"age(xmin) BETWEEN {newest + 1} AND {self.now - window.after}"
        return f"age(xmin) NOT BETWEEN 0 AND {newest}"
