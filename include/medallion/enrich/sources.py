"""
Answers that are derived from others expire with them.

An enrichment that reads what an earlier one adds (the nearest office of a coordinate) has a cache of its own. A
coordinate may be kept for a limited time only, also as part of a key of that cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.enrich.expiry import expires_at
from include.medallion.enrich.join import LookupTable
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, Enrichment
from include.medallion.model.columns import TIMESTAMP_UTC
from include.medallion.model.keys import Key, KeyIndex

_NEVER = np.iinfo(np.int64).max


class SourceExpiry:
    """
    When the answers that an enrichment's keys are made of expire: the earliest of each key's rows.

    Args:
        enrichment: whose keys they are.
        earlier: answers of the enrichments before it.
    """

    def __init__(self, enrichment: Enrichment, earlier: Sequence[LookupTable]) -> None:
        self._sources = [source.tracked for source in _sources(enrichment, earlier) if source.tracked]
        self._bounds = np.empty(0, np.int64)  # microseconds, by key number

    def add(self, rows: pa.RecordBatch, numbers: pa.Array, known: KeyIndex) -> None:
        """Take some rows into account, with the number of each row's key."""
        if not self._sources:
            return
        missing = np.full(len(known) - len(self._bounds), _NEVER, np.int64)
        self._bounds = np.append(self._bounds, missing)
        has_key = numbers.is_valid()
        at = numbers.filter(has_key).to_numpy()
        for tracked in self._sources:
            expiry = expires_at(rows, tracked).cast(TIMESTAMP_UTC).filter(has_key)
            np.minimum.at(self._bounds, at, pc.fill_null(expiry.cast(pa.int64()), _NEVER).to_numpy())

    def bound(self, enrichment: Enrichment, known: KeyIndex, now: datetime) -> Enrichment:
        """Return the enrichment whose new answers expire with their sources at the latest."""
        if not (self._bounds < _NEVER).any():
            return enrichment

        def call(keys: list[Key]) -> pa.Table:
            answers = enrichment.call(keys)
            left = self._bounds[[known.numbers[key] for key in keys]] - pa.scalar(now, TIMESTAMP_UTC).value
            longest = pa.array(np.maximum(left, 0)).cast(KEEP_FOR_TYPE)
            given = answers[KEEP_FOR]
            keep = pc.if_else(given.is_null(), given, pc.min_element_wise(given, longest))
            return answers.set_column(answers.schema.get_field_index(KEEP_FOR), answers.schema.field(KEEP_FOR), keep)

        return replace(enrichment, call=call)


def _sources(enrichment: Enrichment, earlier: Sequence[LookupTable]) -> Iterator[Enrichment]:
    """Yield the enrichments whose columns the keys are made of, also by way of others."""
    read = {*enrichment.reads}
    for one in reversed(earlier):
        if read & {*one.enrichment.adds}:
            read |= {*one.enrichment.reads}
            yield one.enrichment
