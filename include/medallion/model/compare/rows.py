"""Rows of one range of keys as fingerprints, and in which columns those of a sink differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.columns import BATCH_ID, VERSION, Column
from include.medallion.model.compare.fingerprint import Hashes, fingerprints, row_fingerprints
from include.medallion.model.keys import composite_key

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HashedRows:
    """
    Rows of a range: their keys, versions, batches, and the fingerprint of each value.

    Args:
        keys: columns of the primary key.
        spelt: each row's key as one text.
        versions: -1 where the row is due in no sink.
    """

    keys: pa.Table
    spelt: pa.Array
    versions: npt.NDArray[np.int64]
    batches: npt.NDArray[np.int64]
    hashes: Mapping[str, Hashes]


@dataclass(frozen=True)
class ValueDifference:
    """How many rows differ in each column, and the keys of the rows that differ in any."""

    columns: Mapping[str, int]
    keys: pa.Table


def hash_rows(batches: Iterable[pa.RecordBatch], key: Sequence[str], columns: Sequence[Column]) -> HashedRows:
    """Hash rows as they come: memory holds one batch, the keys, and eight bytes of each value."""
    tables, numbers = [], []
    hashes: dict[str, list[Hashes]] = {column.name: [] for column in columns}
    for rows in batches:
        tables.append(pa.table(rows.select(key)))
        numbers.append([_numbers(rows, name) for name in (VERSION, BATCH_ID)])
        for column in columns:
            hashes[column.name].append(fingerprints(rows.column(column.name), column))
    versions, ids = (np.concatenate([pair[n] for pair in numbers] or [np.empty(0, np.int64)]) for n in (0, 1))
    types = {column.name: column.type for column in columns}
    keys = pa.concat_tables(tables) if tables else pa.table({name: pa.array([], types[name]) for name in key})
    whole = {name: np.concatenate(some or [np.empty(0, np.uint64)]) for name, some in hashes.items()}
    return HashedRows(keys, composite_key(keys.columns), versions, ids, whole)


def compare_values(source: HashedRows, sink: HashedRows, columns: Sequence[str], upto: int) -> ValueDifference:
    """
    Compare the rows that are due in a sink and there in the same version, column by column.

    A row whose version there is neither that of the source nor one that came since differs in `_version`. Missing rows
    and outdated ones are found by the comparison of keys.
    """
    mine, theirs = _matches(source, sink)
    due = (source.versions[mine] >= 0) & (source.versions[mine] < upto)
    same = source.versions[mine] == sink.versions[theirs]
    other = {VERSION: due & ~same & (sink.versions[theirs] < upto) & (sink.versions[theirs] > source.versions[mine])}
    return _difference(source, sink, mine, theirs, columns, due & same, other)


def find_stale(source: HashedRows, sink: HashedRows, columns: Sequence[str]) -> pa.Table:
    """Return the keys of the source's rows that a sink lacks, or has in another version or with another value."""
    mine, theirs = _matches(source, sink)
    stale = np.ones(len(source.versions), bool)
    stale[mine] = source.versions[mine] != sink.versions[theirs]
    for name in columns:
        stale[mine] |= source.hashes[name][mine] != sink.hashes[name][theirs]
    return source.keys.filter(pa.array(stale & (source.versions >= 0)))


def compare_sinks(first: HashedRows, second: HashedRows, columns: Sequence[str]) -> ValueDifference:
    """Compare columns that only sinks have, in rows that both have in the same version of the same batch."""
    mine, theirs = _matches(first, second)
    same = (first.versions[mine] == second.versions[theirs]) & (first.batches[mine] == second.batches[theirs])
    return _difference(first, second, mine, theirs, columns, same, {})


def _matches(first: HashedRows, second: HashedRows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the places of the rows of both that have the same key."""
    found = pc.index_in(first.spelt, value_set=second.spelt)
    mine = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    return mine, found.drop_null().to_numpy().astype(np.int64)


def _difference(
    first: HashedRows,
    second: HashedRows,
    mine: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.int64],
    columns: Sequence[str],
    compared: Mask,
    other: Mapping[str, Mask],
) -> ValueDifference:
    found = {name: mask for name, mask in other.items() if mask.any()}
    if columns and len(mine):
        a, b = (row_fingerprints([r.hashes[n][at] for n in columns]) for r, at in ((first, mine), (second, theirs)))
        suspects = np.flatnonzero(compared & (a != b))
        for name in columns if len(suspects) else ():
            mask = np.zeros(len(mine), bool)
            mask[suspects] = first.hashes[name][mine[suspects]] != second.hashes[name][theirs[suspects]]
            if mask.any():
                found[name] = mask
    any_of = np.zeros(len(mine), bool)
    for mask in found.values():
        any_of |= mask
    counts = {name: int(np.count_nonzero(mask)) for name, mask in found.items()}
    return ValueDifference(counts, first.keys.take(pa.array(mine[any_of])))


def _numbers(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.int64]:
    if name not in rows.schema.names:
        return np.zeros(rows.num_rows, np.int64)
    return np.asarray(pc.fill_null(rows.column(name), -1).to_numpy(zero_copy_only=False), np.int64)
