"""
The keys of all rows that the source has, on their way to be compared with a sink's.

    _staging/<pipeline>/<batch>/keys-<window>/part-0000.parquet   key columns and `_version`

Keys are cut by their hash into parts of about `PART_ROWS`, and a sink's keys by
the same hash: memory holds one part of each.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from math import ceil

import adbc_driver_manager
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.bronze import rows as bronze_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake, create_parquet
from include.medallion.model.columns import VERSION, Column
from include.medallion.model.keys import partition_by_text
from include.medallion.model.validation import keys_to_json, to_sink_types, validate
from include.medallion.model.window import Window
from include.medallion.quarantine import table as quarantine_table
from include.medallion.staging.layout import KEYS, part_file
from include.medallion.staging.parts import Part
from include.medallion.staging.source_keys import SourceKeys

PART_ROWS = 2_000_000
_SEPARATOR = "\x1f"


def stage_source_keys(
    connection: adbc_driver_manager.AdbcConnection,
    lake: Lake,
    pipeline: Pipeline,
    table: SourceTable,
    window: Window,
    rows: float,
) -> SourceKeys:
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
    known = _quarantined_keys(lake, pipeline.name)
    with ExitStack() as stack:
        writers = [stack.enter_context(create_parquet(lake, part_file(window, KEYS, n), schema)) for n in parts]
        for batch in bronze_rows.read_rows(connection, pipeline.source, replace(table, columns=columns), window):
            good = batch.filter(validate(batch, columns, pipeline.source.key).is_null())
            refused += batch.num_rows - good.num_rows
            arrays = [*to_sink_types(good, columns), _due_versions(good, pipeline.source.key, known)]
            for n, piece in partition_by_text(
                pa.RecordBatch.from_arrays(arrays, schema=schema), pipeline.source.key, len(parts)
            ):
                writers[n].write_batch(piece)
                found[n] += piece.num_rows
    return SourceKeys(window, [Part(n, found[n], len(parts)) for n in parts], refused)


def _key_columns(pipeline: Pipeline, table: SourceTable) -> tuple[Column, ...]:
    by_name = {c.name: c for c in table.columns}
    return tuple(by_name[name] for name in pipeline.source.key)


def _due_versions(rows: pa.RecordBatch, key: list[str], known: dict[int, set[str]]) -> pa.Array:
    """Return the rows' versions, NULL for rows that are in quarantine in just this version."""
    versions = rows.column(VERSION)
    suspects = pc.indices_nonzero(pc.is_in(versions, pa.array(known, pa.int64())))
    texts = keys_to_json(rows.take(suspects), key).to_pylist()
    aside = np.zeros(rows.num_rows, dtype=bool)
    for row, text in zip(suspects.to_pylist(), texts, strict=True):
        aside[row] = text in known[versions[row].as_py()]
    return pc.if_else(pa.array(aside), pa.scalar(None, pa.int64()), versions)


def _quarantined_keys(lake: Lake, name: str) -> dict[int, set[str]]:
    """Return what the quarantine holds of a pipeline: keys by version."""
    known: dict[int, set[str]] = {}
    for entry in quarantine_table.open_entries(lake, name).to_pylist():
        known.setdefault(entry[VERSION], set()).add(entry["key"])
    return known
