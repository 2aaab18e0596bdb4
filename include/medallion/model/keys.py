"""
Distinct enrichment keys of record batches, and partitioning of rows by key.

Work per row is done in Arrow; Python code runs once per distinct value. An
enrichment key is a tuple of plain values, None where the row has no key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from threading import Lock
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.types.ranges import mask_out_of_range
from include.medallion.model.values.validation import to_text

Key = tuple[Any, ...]
Normalise = Callable[[Sequence[pa.Array]], Sequence[Key | None]]
"""Makes the keys of rows from the columns that form them, as many of each; None for no key."""
_SEPARATOR = "\x1f"
_NULL_TEXT = "\x00"  # cannot occur in a Postgres text
_MAX_CACHED_SPELLINGS = 1 << 17  # more than the postcodes of most countries


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """
    What rows are partitioned by.

    Args:
        columns: of the source.
        normalise: makes keys of their values.
        metered: whether a look-up of a key costs something, so that its rows must stay together.
    """

    columns: tuple[str, ...]
    normalise: Normalise
    metered: bool


class KeyIndex:
    """
    Distinct enrichment keys, numbered from 0 in order of first appearance.

    A spelling is a value in the source before it is normalised to a key. The first `_MAX_CACHED_SPELLINGS` are cached,
    so that they are normalised once. Threads may share an index.
    """

    def __init__(self) -> None:
        self.numbers: dict[Key, int] = {}
        self._cached = pa.array([], pa.string()), pa.array([], pa.int32())  # spellings, and the numbers of their keys
        self._parts: dict[int, np.ndarray] = {}
        self._adding = Lock()

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, spellings: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return the number of each spelling's key (int32, null for no key), and which spellings are unknown (bool)."""
        known, numbers = self._cached
        at = pc.index_in(spellings, value_set=known)
        return numbers.take(at), at.is_null()

    def add(self, spellings: pa.Array, keys: Sequence[Key | None]) -> pa.Array:
        """
        Return the number of each spelling's key; a new key gets the next number.

        Args:
            spellings: distinct texts.
            keys: the key of each spelling, None for no key.

        Returns:
            int32 array, null for no key.
        """
        with self._adding:
            known = self.numbers
            new = pa.array([None if k is None else known.setdefault(k, len(known)) for k in keys], pa.int32())
            cached, numbers = self._cached
            room = max(0, _MAX_CACHED_SPELLINGS - len(cached))
            self._cached = (
                pa.concat_arrays([cached, spellings.slice(0, room)]),
                pa.concat_arrays([numbers, new.slice(0, room)]),
            )
        return new

    def parts(self, count: int) -> np.ndarray:
        """Return the part that each key's rows go to, by key number, if there are `count` parts."""
        with self._adding:
            done = self._parts.get(count, np.empty(0, np.int32))
            new = (partition_of(key, count) for key in islice(self.numbers, len(done), None))
            self._parts[count] = np.append(done, np.fromiter(new, np.int32))
            return self._parts[count]


def encode_keys(
    batch: pa.RecordBatch | pa.Table, columns: Sequence[str], normalise: Normalise, known: KeyIndex
) -> pa.Array:
    """
    Return the number of each row's enrichment key.

    Args:
        columns: columns that form the key.
        normalise: makes keys of their values.
        known: the keys so far; new keys are added in order of appearance.

    Returns:
        int32 array with one number per row; null where the row has no key.
    """
    if not batch.num_rows:
        return pa.array([], pa.int32())
    read = [mask_out_of_range(combine_chunks(batch.column(c))) for c in columns]
    spellings = composite_key(read)
    numbers, new = known.find(spellings)
    rows = pc.indices_nonzero(new)
    if not len(rows):
        return numbers
    encoded = spellings.take(rows).dictionary_encode()
    first = rows.take(pa.array(_first_positions(encoded.indices.to_numpy(), len(encoded.dictionary))))
    added = known.add(encoded.dictionary, normalise([column.take(first) for column in read]))
    return pc.replace_with_mask(numbers, new, added.take(encoded.indices))


def to_table(keys: Iterable[Key], schema: pa.Schema) -> pa.Table:
    """Return enrichment keys as a table with one row per key."""
    some = list(keys)
    return pa.table([pa.array([key[i] for key in some], f.type) for i, f in enumerate(schema)], schema=schema)


def composite_key(columns: Sequence[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """Return one text per row; two texts are equal exactly if the rows are equal in all columns."""
    texts = [pc.fill_null(_text(combine_chunks(c)), _NULL_TEXT) for c in columns]
    # a text may contain the separator: the lengths say where each text but the last ends
    lengths = [pc.binary_length(text).cast(pa.string()) for text in texts[:-1]]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*lengths, *texts, _SEPARATOR)


def partition_of(key: Iterable[object], parts: int) -> int:
    """Return the part that a key's rows go to: the same on every machine and in every run."""
    return crc32(_SEPARATOR.join(map(str, key)).encode()) % parts


def partition_rows(
    batch: pa.RecordBatch, numbers: pa.Array, known: KeyIndex, parts: int
) -> list[tuple[int, pa.RecordBatch]]:
    """
    Partition a batch so that all rows of one enrichment key go to one part; rows without a key are spread.

    Returns:
        (part, rows) for each part that got rows.
    """
    chosen = np.arange(batch.num_rows, dtype=np.int32) % parts
    has_key = numbers.is_valid().to_numpy(zero_copy_only=False)
    chosen[has_key] = known.parts(parts)[numbers.drop_null().to_numpy()]
    return _split(batch, chosen, parts)


def partition_by_key(batch: pa.RecordBatch, key: Sequence[str], parts: int) -> list[tuple[int, pa.RecordBatch]]:
    """
    Partition a batch by its primary key: equal keys of equal types from any table go to the same part.

    Returns:
        (part, rows) for each part that got rows.
    """
    if parts == 1:
        return [(0, batch)]
    texts = zip(*(to_text(batch.column(name)).to_pylist() for name in key), strict=True)
    chosen = np.fromiter((partition_of(text, parts) for text in texts), np.int32, batch.num_rows)
    return _split(batch, chosen, parts)


def _split(batch: pa.RecordBatch, chosen: np.ndarray, parts: int) -> list[tuple[int, pa.RecordBatch]]:
    order = np.argsort(chosen, kind="stable")
    grouped, edges = batch.take(pa.array(order)), np.searchsorted(chosen[order], np.arange(parts + 1))
    return [(p, grouped.slice(a, b - a)) for p, (a, b) in enumerate(pairwise(edges)) if b > a]


def _first_positions(indices: np.ndarray, count: int) -> np.ndarray:
    """Return the first position of each number from 0 to `count` - 1, all of which occur."""
    first = np.empty(count, dtype=np.int64)
    first[indices[::-1]] = np.arange(len(indices) - 1, -1, -1)  # of several assignments, the last one counts
    return first


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):  # bytes that are no text
        return to_text(column)
    # -0.0 and 0.0 are equal, so their texts must be equal
    return (pc.add(column, pa.scalar(0.0, column.type)) if pa.types.is_floating(column.type) else column).cast(
        pa.string()
    )


def combine_chunks(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one contiguous array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
