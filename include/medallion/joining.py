"""A part's rows and the answers to their keys, put together batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.enrichment import Answer, Enrichment
from include.medallion.keys import Key


@dataclass(frozen=True, slots=True)
class Answers:
    """
    The answers of one enrichment to a part's keys, by the number of the key.

    Behind the last key stands what a row without a key gets.
    """

    enrichment: Enrichment
    numbers: list[pa.Array]  # of each row's key, batch by batch; null without a key
    columns: pa.RecordBatch  # those that rows get
    refused: pa.Array  # bool: rows of this key break the contract
    answered: pa.Array  # bool: false for keys over the budget

    def rows(self, index: int) -> pa.Array:
        """Return for each row of the part's batch of this index where its answer stands."""
        return pc.fill_null(self.numbers[index], self.columns.num_rows - 1)


def tabulated(
    enrichment: Enrichment, known: dict[Key, int], numbers: list[pa.Array], answers: Mapping[Key, Answer]
) -> Answers:
    """Put answers in the order of the keys' numbers."""
    rows = [*(answers.get(key, enrichment.unanswered) for key in known), enrichment.without_key]
    fields = enrichment.fields
    arrays = [pa.array([row[enrichment.adds[f.name]] for row in rows], f.type) for f in fields]
    columns = pa.RecordBatch.from_arrays(arrays, schema=fields)
    refused = pa.array([enrichment.refused(row) for row in rows], pa.bool_())
    return Answers(enrichment, numbers, columns, refused, pa.array([*(key in answers for key in known), True]))


def extended(index: int, batch: pa.RecordBatch, earlier: Iterable[Answers]) -> pa.RecordBatch:
    """Return a part's batch with the columns that enrichments have added so far, for the next one to read."""
    for answers in earlier:
        batch = with_columns(batch, answers.columns.take(answers.rows(index)))
    return batch


def with_columns(batch: pa.RecordBatch, added: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with further columns; one of a name that it has already replaces it."""
    kept = batch.drop_columns([name for name in added.schema.names if name in batch.schema.names])
    return pa.RecordBatch.from_arrays([*kept.columns, *added.columns], schema=pa.schema([*kept.schema, *added.schema]))
