"""Rows of chosen keys, read from the source through the index of its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import adbc_driver_manager
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.bronze.rows import read_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import Column, quote_identifier, quote_literal
from include.medallion.model.keys import combine_chunks, composite_key
from include.medallion.model.values.masks import mask_sql
from include.medallion.model.values.validation import to_sink_types, to_text, validate
from include.medallion.model.window import Window

KEYS_PER_STATEMENT = 5_000


def read_rows_of_keys(
    connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable, window: Window, keys: pa.Table
) -> Iterator[pa.RecordBatch]:
    """
    Stream the rows of a window that have one of these keys, as `bronze.rows.read_rows` does.

    A key that is masked by an HMAC means nothing to PostgreSQL: then all rows are read, and chosen here.

    Args:
        keys: columns of the primary key, in the types of the sinks.
    """
    by_name = {column.name: column for column in table.columns}
    columns = [by_name[name] for name in keys.column_names]
    if any(column.mask and not column.mask.is_sql for column in columns):
        rows = read_rows(connection, source, table, window)
        yield from filter(len, (_only(batch, columns, keys) for batch in rows))
        return
    for start in range(0, keys.num_rows, KEYS_PER_STATEMENT):
        condition = key_condition(columns, keys.slice(start, KEYS_PER_STATEMENT))
        yield from read_rows(connection, source, table, window, condition)


def key_condition(columns: Sequence[Column], keys: pa.Table) -> str:
    """Return the SQL condition that rows with these keys meet; literals take the type of their column."""
    names = ", ".join(_expression(column) for column in columns)
    literals = [_literals(combine_chunks(keys[column.name])) for column in columns]
    wanted = ", ".join(f"({', '.join(values)})" for values in zip(*literals, strict=True))
    return f"({names}) IN ({wanted})" if wanted else "false"


def _expression(column: Column) -> str:
    name = quote_identifier(column.source_name or column.name)
    return mask_sql(column.mask, f"{name}::text") if column.mask else name


def _literals(values: pa.Array) -> list[str]:
    binary = pa.types.is_binary(values.type)
    return [quote_literal(f"\\x{text}" if binary else text) for text in to_text(values).to_pylist()]


def _only(rows: pa.RecordBatch, columns: Sequence[Column], keys: pa.Table) -> pa.RecordBatch:
    names = [column.name for column in columns]
    valid = rows.filter(validate(rows, columns, names).is_null())
    found = composite_key(to_sink_types(valid, columns))
    wanted = composite_key([keys[name] for name in names])
    return valid.filter(pc.is_in(found, value_set=wanted))
