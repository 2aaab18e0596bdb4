"""Partitions that were attached with rows in them: these were written before, so they are in no window."""

from __future__ import annotations

from typing import Any

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.bronze.selection.keys import KEYS_PER_STATEMENT, key_condition
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import quote_identifier

_MOST = 0.9
"""Share of a partition's rows that are missing if it was attached: some may have been updated since, and so arrived."""


def attached_partitions(
    connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable, keys: pa.Table
) -> list[str]:
    """
    Return the partitions of which nearly all rows are among these keys.

    Args:
        keys: columns of the primary key, in the types of the sinks.
    """
    by_name = {column.name: column for column in table.columns}
    columns = [by_name[name] for name in keys.column_names]
    if not keys.num_rows or any(column.mask and not column.mask.is_sql for column in columns):
        return []
    chosen: dict[int, int] = {}
    for start in range(0, keys.num_rows, KEYS_PER_STATEMENT):
        condition = key_condition(columns, keys.slice(start, KEYS_PER_STATEMENT))
        for row in _count(connection, source, condition):
            chosen[row["relation"]] = chosen.get(row["relation"], 0) + row["rows"]
    partitions = {number for number in chosen if number != table.relation}
    if not partitions:
        return []
    every = _count(connection, source, f"tableoid IN ({', '.join(map(str, sorted(partitions)))})")
    return sorted(row["name"] for row in every if chosen[row["relation"]] >= _MOST * row["rows"])


def _count(connection: adbc_driver_manager.AdbcConnection, source: Source, condition: str) -> list[dict[str, Any]]:
    qualified = f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
    return fetch_rows(connection, "partition_rows", qualified=qualified, condition=condition)
