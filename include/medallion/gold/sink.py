"""
The Delta sink.

What writes is imported by the methods that do: most runs find nothing new, and ask for the position only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.inspect import missing_files, open_gold
from include.medallion.gold.log import SINK, read_position
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import Column
from include.medallion.model.compare.ranges import KeyRange
from include.medallion.model.counts import Applied
from include.medallion.model.retention import Retention
from include.medallion.model.window import Position
from include.medallion.staging.batch import Batch
from include.medallion.staging.records.source_keys import SourceKeys
from include.medallion.staging.sink import Comparison


@dataclass(frozen=True)
class GoldSink:
    """A Delta table in the lake. Implements `staging.sink.Sink`."""

    lake: Lake
    pipeline: Pipeline
    name: str = SINK
    remember_position: bool = False  # its log is read with one or two requests

    def position(self, source: str) -> Position | None:
        """Return what the table holds: None for nothing, or a position of another source."""
        table = open_gold(self.lake, self.pipeline)
        return read_position(self.lake, self.pipeline, table, source) if table else None

    def check(self, batch: Batch) -> None:
        """Check that the table can hold the batch's values as they are."""
        from include.medallion.gold.apply import check_batch  # noqa: PLC0415

        check_batch(batch)

    def apply(self, batch: Batch) -> Applied:
        """Apply a batch in one conditional commit, fenced by version."""
        from include.medallion.gold.apply import apply_batch  # noqa: PLC0415

        with missing_files(self.pipeline):
            return apply_batch(batch)

    @contextmanager
    def compare(self, keys: SourceKeys) -> Iterator[Comparison]:
        """Compare the table with the keys of the source."""
        from include.medallion.gold import reconcile  # noqa: PLC0415

        with missing_files(self.pipeline):
            comparison = reconcile.compare(self.lake, self.pipeline, keys)
        yield comparison

    def read_rows(self, columns: Sequence[Column], keys: KeyRange) -> Iterator[pa.RecordBatch]:
        """Stream the live rows of a range of keys."""
        from include.medallion.gold import values  # noqa: PLC0415

        return values.read_rows(self.lake, self.pipeline, columns, keys)

    def row_count(self) -> int:
        """Return how many rows the table has; 0 if there is no table."""
        table = open_gold(self.lake, self.pipeline)
        with missing_files(self.pipeline):
            return delta.dataset(self.lake, self.pipeline.gold_table, table).count_rows() if table else 0

    def maintain(self, retention: Retention) -> str:
        """Compact or sort the table's files, delete old versions, write a checkpoint."""
        from include.medallion.lake import delta_maintenance  # noqa: PLC0415

        open_gold(self.lake, self.pipeline)
        done = delta_maintenance.maintain(self.lake, self.pipeline.gold_table, retention.versions, self.pipeline.key)
        return delta_maintenance.summary_line(done) if done else "no table yet"
