"""A part's rows and the answers to their keys, put together piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.lookups.enrichment import Enrichment
from include.medallion.lookups.results import LookupResults
from include.medallion.model.keys import combine_chunks


@dataclass(frozen=True, slots=True)
class LookupTable:
    """
    The answers of one enrichment to a part's keys, by the number of the key.

    Behind the last key stands what a row without a key gets.
    """

    enrichment: Enrichment
    numbers: pa.ChunkedArray  # of each row's key; null without a key
    columns: pa.RecordBatch  # those that rows get
    refused: pa.Array  # bool: rows of this key break the contract
    answered: pa.Array  # bool: false for keys over the budget

    def rows(self, start: int, count: int) -> pa.Array:
        """Return for each of some neighbouring rows of the part where its answer stands."""
        return pc.fill_null(combine_chunks(self.numbers.slice(start, count)), self.columns.num_rows - 1)


def build_lookup_table(found: LookupResults, numbers: pa.ChunkedArray) -> LookupTable:
    """Put what was found, and what a row without a key gets, in the order of the keys' numbers."""
    enrichment, answers = found.enrichment, found.table()
    fields, refused = enrichment.fields, pc.equal(answers[enrichment.status], enrichment.refused)
    arrays = [combine_chunks(answers[enrichment.adds[name]]) for name in fields.names]
    columns = pa.RecordBatch.from_arrays(arrays, schema=fields)
    answered = pa.array(np.append(found.answered, True))
    return LookupTable(enrichment, numbers, columns, combine_chunks(pc.fill_null(refused, fill_value=False)), answered)


def add_lookup_columns(start: int, batch: pa.RecordBatch, earlier: Iterable[LookupTable]) -> pa.RecordBatch:
    """Return a part's rows from `start` on with what enrichments have added so far, for the next one to read."""
    for answers in earlier:
        batch = replace_columns(batch, answers.columns.take(answers.rows(start, batch.num_rows)))
    return batch


def replace_columns(batch: pa.RecordBatch, added: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with further columns; one of a name that it has already replaces it."""
    kept = batch.drop_columns([name for name in added.schema.names if name in batch.schema.names])
    return pa.RecordBatch.from_arrays([*kept.columns, *added.columns], schema=pa.schema([*kept.schema, *added.schema]))
