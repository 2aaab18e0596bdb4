"""The Snowflake sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import Column
from include.medallion.model.compare.ranges import KeyRange
from include.medallion.model.counts import Applied
from include.medallion.model.retention import Retention
from include.medallion.model.window import Position
from include.medallion.silver import reconcile, values
from include.medallion.silver.apply import GONE_SUFFIX, SINK, apply_batch, check_batch
from include.medallion.silver.ledger import open_position, prune
from include.medallion.silver.staging_table import drop_orphans
from include.medallion.silver.statements import fetch_all
from include.medallion.silver.table import table_name
from include.medallion.staging.batch import Batch
from include.medallion.staging.records.source_keys import SourceKeys
from include.medallion.staging.sink import Comparison

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

T = TypeVar("T")


@dataclass(frozen=True)
class SilverSink:
    """
    A Snowflake table. Implements `staging.sink.Sink`.

    Args:
        connect: opens a connection to the database and schema of the table.
    """

    lake: Lake
    pipeline: Pipeline
    connect: Callable[[], SnowflakeConnection]
    name: str = SINK
    remember_position: bool = True  # asking may start a warehouse

    def position(self, source: str) -> Position | None:  # noqa: ARG002 (the ledger says which source it was)
        """Return what the table holds; None for nothing."""
        return self._run(lambda cursor: open_position(cursor, self.pipeline))

    def check(self, batch: Batch) -> None:
        """Check that the table can hold the batch's values as they are."""
        self._run(lambda cursor: check_batch(cursor, batch))

    def apply(self, batch: Batch) -> Applied:
        """Apply a batch in one transaction, fenced by version."""
        return self._run(lambda cursor: apply_batch(cursor, batch))

    @contextmanager
    def compare(self, keys: SourceKeys) -> Iterator[Comparison]:
        """Compare the table with the keys of the source."""
        with (
            closing(self.connect()) as connection,
            connection.cursor() as cursor,
            reconcile.compare(cursor, self.lake, self.pipeline, keys) as comparison,
        ):
            yield comparison

    def read_rows(self, columns: Sequence[Column], keys: KeyRange) -> Iterator[pa.RecordBatch]:
        """Stream the live rows of a range of keys."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            yield from values.read_rows(cursor, self.pipeline, columns, keys)

    def row_count(self) -> int:
        """Return how many rows the table has; 0 if there is no table."""
        return self._run(self._row_count)

    def maintain(self, retention: Retention) -> str:
        """Drop the staging tables of killed tries, and prune the ledger."""
        pruned = self._run(lambda cursor: self._maintain(cursor, retention))
        return f"{pruned:,} ledger rows deleted"

    def _run(self, action: Callable[[SnowflakeCursor], T]) -> T:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            return action(cursor)

    def _row_count(self, cursor: SnowflakeCursor) -> int:
        if open_position(cursor, self.pipeline) is None:
            return 0
        return int(fetch_all(cursor, f"SELECT COUNT(*) FROM {table_name(self.pipeline)}")[0][0])  # noqa: S608

    def _maintain(self, cursor: SnowflakeCursor, retention: Retention) -> int:
        for kind in ("", GONE_SUFFIX, reconcile.SUFFIX):
            drop_orphans(cursor, self.pipeline, retention.orphaned_before, kind)
        return prune(cursor, self.pipeline, retention.oldest_batch)
