"""How long things are kept that nothing needs any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from include.medallion.model.batch_id import new_batch_id

ORPHAN_AGE = timedelta(days=1)
"""No try of a task runs that long: what is older was left by a killed one."""


@dataclass(frozen=True, slots=True)
class Retention:
    """
    Retention at one moment.

    Args:
        now: UTC.
        staging: staged batches (the archive), and the ledger rows of them.
        versions: versions of Delta tables, for readers of an older one.
        runs: what runs recorded of themselves, for the page in Airflow.
    """

    now: datetime
    staging: timedelta
    versions: timedelta
    runs: timedelta = timedelta(days=90)

    @property
    def oldest_batch(self) -> int:
        """Batch id below which staged batches are old."""
        return new_batch_id(self.now - self.staging, 0)

    @property
    def orphaned_before(self) -> int:
        """Batch id below which no try is running any more."""
        return new_batch_id(self.now - ORPHAN_AGE, 0)
