"""
The keys of all rows that the source has, on their way to be compared with a sink's.

    _staging/<pipeline>/<batch>/keys-<window>/part-0000.parquet   key columns and `_version`

Keys are cut by their hash into parts of about `PART_ROWS`, and a sink's keys by
the same hash: memory holds one part of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import ceil
from zlib import crc32

import adbc_driver_manager
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion import bronze, quarantine
from include.medallion.bronze import SourceTable
from include.medallion.contract import convert, judge, key_texts, readable
from include.medallion.extract import Part
from include.medallion.lake import Lake, create
from include.medallion.pipeline import Pipeline
from include.medallion.schema import VERSION, Column
from include.medallion.staging import staged
from include.medallion.window import Window

KEYS = "keys"
PART_ROWS = 2_000_000
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Keys:
    """One reconcile's look at the source: what is staged, and what it may be compared with."""

    window: Window  # rows below `upto` are due in both sinks
    parts: list[Part]  # of all keys, also those that are not due
    set_aside: int  # rows in quarantine: due in no sink

    @property
    def rows(self) -> int:
        """Rows that the source has."""
        return sum(p.rows for p in self.parts)

    def to_json(self) -> dict:
        """As it is kept in staging until the reconcile is done."""
        return {"window": self.window.to_json(), "parts": [asdict(p) for p in self.parts], "set_aside": self.set_aside}

    @classmethod
    def from_json(cls, data: dict) -> Keys:
        """Inverse of `to_json`."""
        return cls(Window.from_json(data["window"]), [Part(**p) for p in data["parts"]], data["set_aside"])


def stage(
    connection: adbc_driver_manager.AdbcConnection,
    lake: Lake,
    pipeline: Pipeline,
    table: SourceTable,
    window: Window,
    rows: float,
) -> Keys:
    """
    Stream the key and version of every visible row into staging.

    A row in quarantine is staged with a NULL version: it exists, but is due in
    no sink. A row whose key no sink can hold is counted only.

    Args:
        rows: how many to expect; decides the number of parts.
    """
    columns = _key_columns(pipeline, table)
    schema = pa.schema([*((c.name, c.type) for c in columns), (VERSION, pa.int64())])
    parts = range(max(1, ceil(rows / PART_ROWS)))
    found, refused = dict.fromkeys(parts, 0), 0
    known = _quarantined(lake, pipeline.name)
    with ExitStack() as stack:
        writers = [stack.enter_context(create(lake, staged(window, KEYS, n), schema)) for n in parts]
        for batch in bronze.read(connection, pipeline.source, replace(table, columns=columns), window):
            good = batch.filter(judge(batch, columns, pipeline.source.key).is_null())
            refused += batch.num_rows - good.num_rows
            arrays = [*convert(good, columns), _due(good, pipeline.source.key, known)]
            for n, piece in cut(pa.RecordBatch.from_arrays(arrays, schema=schema), pipeline.source.key, len(parts)):
                writers[n].write_batch(piece)
                found[n] += piece.num_rows
    return Keys(window, [Part(n, found[n], len(parts)) for n in parts], refused)


def cut(batch: pa.RecordBatch, key: list[str], parts: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (part, rows) of a batch: equal keys of equal types get the same part, in every sink."""
    if parts == 1:
        yield 0, batch
        return
    texts = [readable(batch.column(c)) for c in key]
    joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, _SEPARATOR)
    hashes = (crc32(text.encode()) % parts for text in joined.to_pylist())
    chosen = np.fromiter(hashes, dtype=np.int32, count=batch.num_rows)
    for part in np.unique(chosen):
        yield int(part), batch.filter(pa.array(chosen == part))


def _key_columns(pipeline: Pipeline, table: SourceTable) -> tuple[Column, ...]:
    by_name = {c.name: c for c in table.columns}
    return tuple(by_name[name] for name in pipeline.source.key)


def _due(rows: pa.RecordBatch, key: list[str], known: dict[int, set[str]]) -> pa.Array:
    """Return the rows' versions, NULL for rows that are in quarantine in just this version."""
    versions = rows.column(VERSION)
    suspects = pc.indices_nonzero(pc.is_in(versions, pa.array(known, pa.int64())))
    texts = key_texts(rows.take(suspects), key).to_pylist()
    aside = np.zeros(rows.num_rows, dtype=bool)
    for row, text in zip(suspects.to_pylist(), texts, strict=True):
        aside[row] = text in known[versions[row].as_py()]
    return pc.if_else(pa.array(aside), pa.scalar(None, pa.int64()), versions)


def _quarantined(lake: Lake, name: str) -> dict[int, set[str]]:
    """Return what the quarantine holds of a pipeline: keys by version."""
    known: dict[int, set[str]] = {}
    for entry in quarantine.still_open(lake, name).to_pylist():
        known.setdefault(entry[VERSION], set()).add(entry["key"])
    return known
