"""Answers to the keys of one part: columnar, in the order in which they arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.lookups.enrichment import PENDING, Enrichment
from include.medallion.model.keys import Key

_NO_ROW = -1


class LookupResults:
    """
    Answers to numbered keys, and the number of calls and cache hits; `len()` is the number of answered keys.

    Args:
        wanted: the number of each key, from 0 in the order of the mapping.
    """

    def __init__(self, enrichment: Enrichment, wanted: Mapping[Key, int]) -> None:
        self.enrichment, self.wanted = enrichment, wanted
        self.cached = 0  # keys answered by the cache
        self.calls = 0  # calls made, including retries
        self._tables = [enrichment.kept.empty_table()]
        self._rows = 0
        self._row_of = np.full(len(wanted), _NO_ROW, np.int64)

    def settle(self) -> None:
        """Answer the keys that need no call with their status, without provider and time."""
        if self.enrichment.settle is None or not self.wanted:
            return
        keys = list(self.wanted)
        statuses = self.enrichment.settle(keys)
        settled = pc.indices_nonzero(statuses.is_valid()).to_pylist()
        if settled:
            rows = [{self.enrichment.status: status} for status in statuses.drop_null().to_pylist()]
            self.add([keys[number] for number in settled], pa.Table.from_pylist(rows, self.enrichment.kept))

    def add(self, keys: Iterable[Key], answers: pa.Table) -> None:
        """
        Add answers; they replace earlier ones to the same keys.

        Args:
            keys: some of `wanted`.
            answers: one row per key, in order, with the columns of `Enrichment.kept`.
        """
        numbers = np.fromiter((self.wanted[key] for key in keys), np.int64, answers.num_rows)
        self._row_of[numbers] = np.arange(self._rows, self._rows + answers.num_rows)
        self._rows += answers.num_rows
        self._tables.append(answers)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.answered))

    def __contains__(self, key: Key) -> bool:
        return bool(self._row_of[self.wanted[key]] != _NO_ROW)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether each key has an answer, by number; the others are over the call budget."""
        return np.not_equal(self._row_of, _NO_ROW)

    def missing(self) -> list[Key]:
        """Return the keys without an answer, in order."""
        return [key for key, found in zip(self.wanted, self.answered.tolist(), strict=True) if not found]

    def answers(self) -> tuple[list[Key], pa.Table]:
        """Return the keys that have an answer, in order, and their answers (`Enrichment.kept`)."""
        found = self.answered
        keys = [key for key, is_found in zip(self.wanted, found.tolist(), strict=True) if is_found]
        return keys, self.table().slice(0, len(self.wanted)).filter(pa.array(found))

    def table(self) -> pa.Table:
        """Return the answer to each key, by number, and a last row for rows without a key (`Enrichment.kept`)."""
        statuses = [{self.enrichment.status: status} for status in (PENDING, self.enrichment.without_key)]
        others = pa.Table.from_pylist(statuses, self.enrichment.kept)
        rows = np.append(np.where(self.answered, self._row_of, self._rows), self._rows + 1)
        return pa.concat_tables([*self._tables, others]).combine_chunks().take(pa.array(rows))

    def statuses(self) -> Counter[str]:
        """Count the keys by status."""
        of_keys = self.table()[self.enrichment.status].slice(0, len(self.wanted))
        return Counter({count["values"]: count["counts"] for count in of_keys.value_counts().to_pylist()})
