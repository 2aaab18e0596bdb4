"""
What every sink offers: the protocol between the steps of a run and the places that rows go to.

A sink keeps its own position, so that it never depends on what a scheduler remembers. `steps` and `ops` iterate over
sinks and know none of them by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import pyarrow as pa

from include.medallion.model.columns import Column
from include.medallion.model.compare.ranges import KeyRange
from include.medallion.model.counts import Applied
from include.medallion.model.differences import Difference
from include.medallion.model.retention import Retention
from include.medallion.model.window import Position
from include.medallion.staging.batch import Batch
from include.medallion.staging.records.source_keys import SourceKeys


class Comparison(Protocol):
    """A sink compared with the keys of the source."""

    @property
    def difference(self) -> Difference:
        """What was found."""

    def delete(self) -> int:
        """
        Delete the rows that the source lost, as the pipeline's `deletes` says, in one atomic commit.

        Idempotent. Rows whose version is not below `keys.window.upto` are left alone.

        Returns:
            How many rows were marked or removed.

        Raises:
            SourceChanged: the sink was emptied or filled from another source meanwhile.
        """


@runtime_checkable
class Repairable(Protocol):
    """A comparison that can name the rows to be repaired. Without it, differences are reported only."""

    def faulty_keys(self, *, repeated: bool, limit: int) -> pa.Table:
        """
        Return the keys of the source's rows that are missing in the sink, or older there.

        Args:
            repeated: also those that the sink holds more than once.
            limit: more keys than this need not be returned.

        Returns:
            The columns of the primary key, in the types of the staged keys; a key may be in it twice.
        """


@runtime_checkable
class Readable(Protocol):
    """A sink whose values can be compared with the source's. Without it, only keys and versions are."""

    def read_rows(self, columns: Sequence[Column], keys: KeyRange) -> Iterator[pa.RecordBatch]:
        """
        Stream the live rows of a range of keys.

        Args:
            columns: to read, those of the key among them.

        Yields:
            Record batches with these columns, `_version` and `_batch_id`, in the types of `Column.type`; documents
            and lists may be text.
        """


class Sink(Protocol):
    """
    One target of a pipeline.

    Attributes:
        name: as the pipeline file calls it, e.g. `silver`.
        remember_position: whether the scheduler should remember the position because asking for it costs something
            (Snowflake may have to start a warehouse). `apply` checks the position in any case.
    """

    @property
    def name(self) -> str:
        """Name of the sink in the pipeline file."""

    @property
    def remember_position(self) -> bool:
        """Whether the scheduler should remember the position."""

    def position(self, source: str) -> Position | None:
        """
        Return what the sink holds; None for nothing.

        Args:
            source: identity of the source table; a sink that was filled from another source returns a position of
                that source.
        """

    def check(self, batch: Batch) -> None:
        """
        Check that the sink can take a batch, before the batch is applied to another sink.

        `apply` checks the same before it writes anything, and is not preceded by this in the first sink.

        Raises:
            ContractBroken: a column has another type than the batch's values, or the target is one that cannot be
                written to; the message says the fix.
        """

    def apply(self, batch: Batch) -> Applied:
        """
        Apply a batch in one atomic, idempotent commit that names the batch and moves the position.

        A row is written only over an older version, or over the same version of an older batch. A batch that the sink
        holds already changes nothing.

        Raises:
            SinkBehind: rows between the position and the window's start would be lost.
            SourceChanged: the sink was filled from another source.
            ContractBroken: the staged rows are damaged, or repeat a key.
        """

    def compare(self, keys: SourceKeys) -> AbstractContextManager[Comparison]:
        """
        Compare the sink with the keys of the source; nothing is deleted until the comparison is asked to.

        Raises:
            SourceChanged: the sink was emptied or filled from another source meanwhile.
        """

    def row_count(self) -> int:
        """Return how many rows the sink holds, deleted ones included."""

    def maintain(self, retention: Retention) -> str:
        """Compact, and remove what is older than the retention; return what was done in one sentence of counts."""
