"""
The keys of all rows that the source has, on their way to be compared with a sink's.

    _staging/<pipeline>/<batch>/keys-<window>/part-0000.parquet   key columns and `_version`

Keys are partitioned by their hash into parts of about `PART_ROWS`, and a sink's keys by the same hash, so that memory
holds one part of each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.columns import VERSION, Column
from include.medallion.model.keys import partition_by_key
from include.medallion.model.values.validation import keys_to_json, to_sink_types, validate
from include.medallion.model.window import Window
from include.medallion.staging.layout import KEYS, part_file
from include.medallion.staging.parts import Part, StagedFile
from include.medallion.staging.records.source_keys import SourceKeys

PART_ROWS = 2_000_000
QuarantinedKeys = Mapping[int, Collection[str]]


def stage_source_keys(
    connection: adbc_driver_manager.AdbcConnection,
    lake: Lake,
    pipeline: Pipeline,
    table: SourceTable,
    window: Window,
    expected_rows: float,
    quarantined: QuarantinedKeys,
) -> SourceKeys:
    """
    Stream the key and version of every visible row into staging.

    A row in quarantine is staged with a NULL version: it exists, but is due in no sink. A row whose key no sink can
    hold is counted only.

    Args:
        expected_rows: decides the number of parts.
        quarantined: keys of the rows in quarantine, as JSON, by version.
    """
    columns, key = _key_columns(pipeline, table), pipeline.key
    schema = pa.schema([*((c.name, c.type) for c in columns), (VERSION, pa.int64())])
    parts, unloadable, waiting = range(max(1, ceil(expected_rows / PART_ROWS))), 0, 0
    with ExitStack() as stack:
        writers = [stack.enter_context(create_parquet(lake, part_file(window, KEYS, n), schema)) for n in parts]
        for batch in bronze_rows.read_rows(connection, pipeline.source, replace(table, columns=columns), window):
            good = batch.filter(validate(batch, columns, key).is_null())
            unloadable += batch.num_rows - good.num_rows
            versions = due_versions(good, key, quarantined)
            waiting += versions.null_count
            arrays = [*to_sink_types(good, columns), versions]
            for n, rows in partition_by_key(pa.RecordBatch.from_arrays(arrays, schema=schema), key, len(parts)):
                writers[n].write_batch(rows)
    files = [StagedFile(part_file(window, KEYS, n), 0, out.file) for n, out in enumerate(writers)]
    staged = tuple(Part(n, len(parts), (file,)) for n, file in enumerate(files))
    return SourceKeys(window, staged, unloadable, waiting)


def _key_columns(pipeline: Pipeline, table: SourceTable) -> tuple[Column, ...]:
    by_name = {c.name: c for c in table.columns}
    return tuple(by_name[name] for name in pipeline.key)


def due_versions(rows: pa.RecordBatch, key: list[str], known: QuarantinedKeys) -> pa.Array:
    """Return the rows' versions, NULL for rows that are in quarantine in just this version."""
    versions = rows.column(VERSION)
    suspects = pc.indices_nonzero(pc.is_in(versions, pa.array(known, pa.int64())))
    texts = keys_to_json(rows.take(suspects), key).to_pylist()
    aside = np.zeros(rows.num_rows, dtype=bool)
    for row, text in zip(suspects.to_pylist(), texts, strict=True):
        aside[row] = text in known[versions[row].as_py()]
    return pc.if_else(pa.array(aside), pa.scalar(None, pa.int64()), versions)
