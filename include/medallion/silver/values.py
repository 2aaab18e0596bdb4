"""
Values of Silver, read back to be compared.

How Snowflake sends a value depends on its type and on settings of the session, so what has a choice is converted there:
times become microseconds, exact numbers and times of day text, documents and lists JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.columns import BATCH_ID, VERSION, Column, quote_identifier, typed_column
from include.medallion.model.compare.ranges import KeyRange
from include.medallion.model.values.validation import to_text
from include.medallion.silver.statements import escape
from include.medallion.silver.table import read_types, table_name

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

_JSON = frozenset({"VARIANT", "ARRAY", "OBJECT"})
_SYSTEM = (typed_column(VERSION, pa.int64()), typed_column(BATCH_ID, pa.int64()))


def read_rows(
    cursor: SnowflakeCursor, pipeline: Pipeline, columns: Sequence[Column], keys: KeyRange
) -> Iterator[pa.RecordBatch]:
    """Stream the live rows of a range of keys."""
    there = read_types(cursor, pipeline)
    every = [*(c for c in columns if c.snowflake_name in there), *_SYSTEM]
    params: dict[str, str] = {}

    def literal(column: Column, value: Any) -> str:
        name = f"v{len(params)}"
        params[name] = str(to_text(pa.array([value], column.type))[0])
        if pa.types.is_binary(column.type):
            return f"TO_BINARY(%({name})s, 'HEX')"
        return f"%({name})s::{column.snowflake_type}"

    where = keys.sql(lambda column: escape(quote_identifier(column.snowflake_name)), literal)
    chosen = ", ".join(f"{_expression(column)} AS C{n}" for n, column in enumerate(every))
    rows = f"SELECT {chosen} FROM {table_name(pipeline)} WHERE _DELETED_AT IS NULL"  # noqa: S608 (quoted)
    statement = f"{escape(rows)} AND {where}"
    cursor.execute(statement, params) if params else cursor.execute(statement % {})
    for table in cursor.fetch_arrow_batches():
        yield from _converted(table, every, [c for c in columns if c.snowflake_name not in there])


def _expression(column: Column) -> str:
    name, kind = quote_identifier(column.snowflake_name), column.snowflake_type
    if kind in _JSON:
        return f"TO_JSON({name})"
    if pa.types.is_timestamp(column.type):
        return f"DATE_PART(EPOCH_MICROSECOND, {name})"
    if pa.types.is_decimal(column.type) or kind.startswith("TIME(") or kind == "TIME":
        return f"{name}::VARCHAR"
    return name


def _converted(table: pa.Table, columns: Sequence[Column], lacking: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    for batch in table.to_batches():
        arrays = [_typed(array, column) for array, column in zip(batch.columns, columns, strict=True)]
        nulls = [pa.nulls(batch.num_rows, column.type) for column in lacking]
        names = [column.name for column in (*columns, *lacking)]
        yield pa.RecordBatch.from_arrays([*arrays, *nulls], names=names)


def _typed(values: pa.Array, column: Column) -> pa.Array:
    if column.snowflake_type in _JSON:
        return values.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        return values.cast(pa.int64()).cast(column.type)
    return values.cast(column.type)
