"""Join the rows of a part with the answers to their keys."""

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
    The answers of one enrichment to a part's keys, by key number.

    A last entry, after the last key, is for rows without a key.
    """

    enrichment: Enrichment
    numbers: pa.ChunkedArray  # key number of each row of the part; null without a key
    columns: pa.RecordBatch  # the columns added to rows
    refused: pa.Array  # bool: rows with this key are quarantined
    answered: pa.Array  # bool: false for keys over the call budget

    def rows(self, start: int, count: int) -> pa.Array:
        """
        Return the index of the answer to each of `count` consecutive rows of the part.

        Args:
            start: index of the first of these rows in the part.
        """
        return pc.fill_null(combine_chunks(self.numbers.slice(start, count)), self.columns.num_rows - 1)


def build_lookup_table(results: LookupResults, numbers: pa.ChunkedArray) -> LookupTable:
    """
    Build the table that rows are joined with.

    Args:
        results: answers to the part's keys.
        numbers: key number of each row of the part; null without a key.
    """
    enrichment, answers = results.enrichment, _with_derived(results)
    fields, refused = enrichment.fields, pc.equal(answers[enrichment.status], enrichment.refused)
    arrays = [combine_chunks(answers[enrichment.adds[name]]) for name in fields.names]
    columns = pa.RecordBatch.from_arrays(arrays, schema=fields)
    answered = pa.array(np.append(results.answered, True))
    return LookupTable(enrichment, numbers, columns, combine_chunks(pc.fill_null(refused, fill_value=False)), answered)


def _with_derived(results: LookupResults) -> pa.Table:
    """Return the answers by key number, with the fields that are computed from them."""
    answers, derive = results.table(), results.enrichment.derive
    if derive is None:
        return answers
    computed = derive(answers)
    return pa.table([*answers.columns, *computed.columns], names=[*answers.column_names, *computed.column_names])


def add_lookup_columns(start: int, batch: pa.RecordBatch, lookups: Iterable[LookupTable]) -> pa.RecordBatch:
    """
    Return rows with the columns that enrichments add, so that the next enrichment can read them.

    Args:
        start: index of the batch's first row in the part.
        batch: consecutive rows of the part.
        lookups: those of the earlier enrichments, in order.
    """
    for lookup in lookups:
        batch = replace_columns(batch, lookup.columns.take(lookup.rows(start, batch.num_rows)))
    return batch


def replace_columns(batch: pa.RecordBatch, added: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with further columns, which replace columns of the same name."""
    kept = batch.drop_columns([name for name in added.schema.names if name in batch.schema.names])
    return pa.RecordBatch.from_arrays([*kept.columns, *added.columns], schema=pa.schema([*kept.schema, *added.schema]))
