"""Ranges of the keys that a reconcile has staged, of about the same number of rows each."""

from __future__ import annotations

import pyarrow as pa

from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import Column, columns_from_schema
from include.medallion.model.compare.ranges import Bound, KeyRange, plan_ranges
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.records.source_keys import SourceKeys

_SAMPLE_ROWS = 200_000


def key_columns(lake: Lake, keys: SourceKeys) -> tuple[Column, ...]:
    """Return the columns of the primary key."""
    return columns_from_schema(read_staged_table(lake, keys.parts[0].files[0]).schema)


def divide_keys(
    lake: Lake, keys: SourceKeys, columns: tuple[Column, ...], count: int, after: Bound | None = None
) -> list[KeyRange]:
    """
    Divide the keys into ranges; memory holds one part of them, and a sample.

    Args:
        columns: of the key.
        count: of ranges in which all keys would be divided.
        after: where the first range begins; None for the first key.
    """
    step = max(1, keys.rows // _SAMPLE_ROWS)
    pieces = []
    for part in keys.parts:
        table = read_staged_table(lake, part.files[0], [column.name for column in columns])
        pieces.append(table.take(pa.array(range(0, table.num_rows, step), pa.int64())))
    return plan_ranges(columns, pa.concat_tables(pieces), count, after)
