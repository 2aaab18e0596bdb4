"""
Distinct enrichment keys of record batches.

Work per row is done in Arrow; Python sees each distinct raw value of a batch
once. A key is a tuple of plain values, None where the row has no key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.contract import in_calendar

Key = tuple
Normalise = Callable[[tuple], Key | None]
_SEPARATOR = "\x1f"
_NULL = "\x00"  # no Postgres text can hold it


def number(
    batch: pa.RecordBatch | pa.Table, columns: Sequence[str], normalise: Normalise, known: dict[Key, int]
) -> pa.Array:
    """
    Give each row the number of its key.

    Args:
        known: number of each key met so far; new keys are added, in the order they are met.

    Returns:
        int32 array, one number a row; null where the row has no key.
    """
    if not batch.num_rows:
        return pa.array([], pa.int32())
    read = [in_calendar(_flat(batch.column(c))) for c in columns]
    encoded = _joined(read).dictionary_encode()
    first = pa.array(_first(encoded.indices.to_numpy(), len(encoded.dictionary)))
    values = zip(*(column.take(first).to_pylist() for column in read), strict=True)
    numbers = [None if (key := normalise(v)) is None else known.setdefault(key, len(known)) for v in values]
    return pa.array(numbers, pa.int32()).take(encoded.indices)


def part_of(key: Key, parts: int) -> int:
    """Return the part that a key's rows go to: the same on every machine and in every run."""
    return crc32(_SEPARATOR.join(map(str, key)).encode()) % parts


def split(
    batch: pa.RecordBatch, numbers: pa.Array, known: dict[Key, int], parts: int
) -> list[tuple[int, pa.RecordBatch]]:
    """
    Cut a batch so that all rows of one key go to one part; rows without a key are spread.

    Returns:
        (part, rows) for each part that got rows.
    """
    of_key = np.fromiter((part_of(k, parts) for k in known), dtype=np.int32, count=len(known))
    spread = np.arange(batch.num_rows, dtype=np.int32) % parts
    has_key = numbers.is_valid().to_numpy(zero_copy_only=False)
    chosen = spread.copy()
    chosen[has_key] = of_key[numbers.drop_null().to_numpy()]
    order = np.argsort(chosen, kind="stable")
    grouped, edges = batch.take(pa.array(order)), np.searchsorted(chosen[order], np.arange(parts + 1))
    return [(p, grouped.slice(a, b - a)) for p, (a, b) in enumerate(pairwise(edges)) if b > a]


def _first(indices: np.ndarray, count: int) -> np.ndarray:
    """Return where each of 0 .. count - 1 comes first; all of them do come."""
    first = np.empty(count, dtype=np.int64)
    first[indices[::-1]] = np.arange(len(indices) - 1, -1, -1)  # of several, the last assignment stays
    return first


def _joined(columns: list[pa.Array]) -> pa.Array:
    """Return one string per row that is equal exactly where all columns are."""
    texts = [pc.fill_null(_flat(c).cast(pa.string()), _NULL) for c in columns]
    # a text may hold the separator: the lengths tell where each but the last one ends
    lengths = [pc.binary_length(text).cast(pa.string()) for text in texts[:-1]]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*lengths, *texts, _SEPARATOR)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
