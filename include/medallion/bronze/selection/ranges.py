"""Rows of a range of keys, as the sinks should hold them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze.rows import read_rows
from include.medallion.bronze.source_keys import QuarantinedKeys, due_versions
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import VERSION, Column, quote_identifier, quote_literal
from include.medallion.model.compare.ranges import KeyRange
from include.medallion.model.values.masks import mask_sql
from include.medallion.model.values.validation import to_sink_types, to_text, validate
from include.medallion.model.window import Window


def read_range(
    connection: adbc_driver_manager.AdbcConnection,
    source: Source,
    table: SourceTable,
    columns: Sequence[Column],
    window: Window,
    keys: KeyRange,
    quarantined: QuarantinedKeys,
) -> Generator[pa.RecordBatch, None, None]:
    """
    Stream the valid rows of a range of keys, in the types of the sinks, with `_version`: NULL for rows in quarantine.

    A key that is masked by an HMAC has no order in PostgreSQL: then all rows are read, and chosen here.
    """
    key = [column.name for column in keys.columns]
    hidden = any(column.mask and not column.mask.is_sql for column in keys.columns)
    condition, chosen = ("true", keys.expression()) if hidden else (keys.sql(_expression, _literal), None)
    rows = read_rows(connection, source, replace(table, columns=tuple(columns)), window, condition)
    names = [*(column.name for column in columns), VERSION]
    for batch in rows:
        good = batch.filter(validate(batch, columns, key).is_null())
        arrays = [*to_sink_types(good, columns), due_versions(good, key, quarantined)]
        converted = pa.RecordBatch.from_arrays(arrays, names=names)
        yield converted if chosen is None else converted.filter(chosen)


def _is_text(column: Column) -> bool:
    return bool(pa.types.is_string(column.type))


def _expression(column: Column) -> str:
    """Return what PostgreSQL compares: texts by their bytes in UTF-8, in any collation."""
    name = quote_identifier(column.source_name or column.name)
    text = mask_sql(column.mask, f"{name}::text") if column.mask else f"{name}::text"
    if _is_text(column):
        return f"pg_catalog.convert_to({text}, 'UTF8')"
    return text if column.mask else name


def _literal(column: Column, value: Any) -> str:
    if _is_text(column):
        return f"'\\x{value.encode().hex()}'::bytea"
    text = str(to_text(pa.array([value], column.type))[0])
    return quote_literal(f"\\x{text}" if pa.types.is_binary(column.type) else text)
