"""
32-bit transaction ids of rows as 64-bit versions that never wrap around.

On disk a row carries 32 bits; the epoch above them comes from the snapshot.
`age(xmin)` is the cheapest way to reach them in SQL (a third of a cast to text
and number), and within one transaction it counts from a fixed id.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.window import Mode, Window

EPOCH = 1 << 32
INT_MAX = 2**31 - 1  # age() of ids that are no transactions: rows from before any


@dataclass(frozen=True, slots=True)
class XidEpoch:
    """The next transaction id of the session that reads, and how `age(xmin)` maps to 64-bit ids."""

    now: int

    @classmethod
    def read(cls, xmax: int, age_of_3: int) -> XidEpoch:
        """
        Combine the snapshot's 64-bit xmax with the 32-bit distance that age() counts from.

        Within one transaction age() counts from a fixed id that is never below xmax.
        """
        low = (3 + age_of_3) % EPOCH
        return cls(xmax + (low - xmax) % EPOCH)

    def versions(self, ages: pa.Array, most: int) -> pa.Array:
        """
        Turn `age(xmin)` of rows into 64-bit transaction ids; 0 for rows from before any (bootstrap).

        Here and not in SQL: there each row would cost the server a tenth of a microsecond for each operator.

        Args:
            most: larger ids are cut to it.
        """
        epoch = pc.if_else(pc.less(ages, 0), pa.scalar(self.now - EPOCH), pa.scalar(self.now))
        ids = pc.subtract(epoch, ages.cast(pa.int64()))
        return pc.min_element_wise(pc.if_else(pc.equal(ages, INT_MAX), pa.scalar(0, pa.int64()), ids), most)

    def window_condition(self, window: Window) -> str:
        """
        Return the SQL condition that selects the window's rows.

        age() of an id more than 2^31 back is negative: such rows are frozen and
        old, never new. A window that reaches that far back reads all old rows.
        """
        if window.mode in {Mode.REFRESH, Mode.RECONCILE, Mode.ACCEPT} or window.log:
            return "true"
        newest = self.now - window.upto
        if window.after > 0 and self.now - window.after < INT_MAX:
            return f"age(xmin) BETWEEN {newest + 1} AND {self.now - window.after}"
        return f"age(xmin) NOT BETWEEN 0 AND {newest}"
