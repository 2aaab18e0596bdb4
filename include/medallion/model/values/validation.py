"""
Validate rows: the primary key is not NULL, and every sink can hold every value.

Validation is columnar. An invalid row is quarantined with a reason; it is never
changed and never dropped. Limits of the sinks: dates of the years 1 to 9999,
128 MiB of text and 64 MiB of bytes (https://docs.snowflake.com/en/sql-reference/data-types).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.columns import VERSION, Column
from include.medallion.model.types import numbers
from include.medallion.model.types.arrays import is_list, parse_arrays
from include.medallion.model.types.ranges import is_out_of_range, mask_out_of_range, print_out_of_range
from include.medallion.model.types.table import BINARY_BYTES, TEXT_BYTES
from include.medallion.model.values.encoding import is_marked, without_mark

QUARANTINE_SCHEMA = pa.schema(
    [("reason", pa.string()), ("key", pa.string()), ("row", pa.string()), (VERSION, pa.int64())]
)
"""Staged quarantined rows: reason, primary key and whole row as JSON, version."""


class Reason(StrEnum):
    """Why a row is in quarantine."""

    NULL_KEY = "NULL_KEY"
    NOT_UTF8 = "NOT_UTF8"  # text whose bytes are no UTF-8, of a database with the encoding SQL_ASCII
    KEY_REFUSED = "KEY_REFUSED"  # the provider rejects the enrichment key
    NOT_A_NUMBER = "NOT_A_NUMBER"  # NaN in a column of exact numbers
    OUT_OF_RANGE = "OUT_OF_RANGE"  # infinity, a year before 1 or after 9999, the time 24:00
    TOO_LONG = "TOO_LONG"
    DOES_NOT_FIT = "DOES_NOT_FIT"  # a number with more digits than the type that `types` chooses
    NOT_A_LIST = "NOT_A_LIST"  # an array of several dimensions, or that does not begin at 1


def validate(batch: pa.RecordBatch, columns: Sequence[Column], key: Sequence[str]) -> pa.Array:
    """
    Return the first reason why each row is invalid.

    Args:
        batch: rows as read (`Column.read_type`).
        columns: the columns to validate.
        key: columns of the primary key.

    Returns:
        String array; null for a valid row.
    """
    faults = [(Reason.NULL_KEY, batch.column(k).is_null()) for k in key]
    faults += [fault for column in columns for fault in _faults(batch.column(column.name), column)]
    none = pa.nulls(batch.num_rows, pa.string())
    if not faults:
        return none
    masks = pa.StructArray.from_arrays(
        [pc.fill_null(m, fill_value=False) for _, m in faults], [str(i) for i in range(len(faults))]
    )
    return pc.case_when(masks, *(pa.scalar(str(reason)) for reason, _ in faults), none)


def may_be_invalid(column: Column, size: int) -> bool:
    """
    Return whether a column may hold an invalid value.

    Args:
        column: its type decides which values are invalid.
        size: upper limit of the bytes that one value has.
    """
    if column.any_bytes and pa.types.is_string(column.read_type):
        return True
    if (pa.types.is_string(column.type) and not column.has_range) or pa.types.is_binary(column.type):
        return size > _max_bytes(column.type)
    return column.as_text or column.has_range


def to_sink_types(batch: pa.RecordBatch, columns: Sequence[Column]) -> list[pa.Array]:
    """Return the columns of valid rows in the types of the sinks."""
    return [_to_sink_type(batch.column(c.name), c) for c in columns]


def to_rule_types(batch: pa.RecordBatch, columns: Sequence[Column]) -> list[pa.Array]:
    """Return the columns of valid rows as rules of the pipeline file read them: an array is its text."""
    typed = zip(columns, to_sink_types(batch, columns), strict=True)
    return [batch.column(column.name) if pa.types.is_list(column.type) else values for column, values in typed]


def _to_sink_type(values: pa.Array, column: Column) -> pa.Array:
    if column.as_text and pa.types.is_list(column.type):
        return parse_arrays(values, column.type.value_type)
    return numbers.parse(values, column.type) if column.as_text and not pa.types.is_string(column.type) else values


def to_text(values: pa.Array) -> pa.Array:
    """Return any column as text; a date or time outside the years 1 to 9999 becomes what PostgreSQL prints."""
    if not pa.types.is_temporal(values.type):
        return without_mark(values.cast(pa.string())) if not pa.types.is_binary(values.type) else _hex(values)
    return pc.coalesce(mask_out_of_range(values).cast(pa.string()), print_out_of_range(values))


def to_quarantine(rows: pa.RecordBatch, reasons: pa.Array, key: Sequence[str]) -> pa.RecordBatch:
    """
    Return invalid rows in the format of the quarantine (`QUARANTINE_SCHEMA`).

    Args:
        rows: with `_version`.
        reasons: one for each row.
        key: columns of the primary key.
    """
    texts = pa.RecordBatch.from_arrays([to_text(c) for c in rows.columns], rows.schema.names)
    read = texts.drop_columns([VERSION]).to_pylist()
    whole = [json.dumps(row, ensure_ascii=False) for row in read]
    return pa.RecordBatch.from_arrays(
        [reasons, keys_to_json(rows, key), pa.array(whole, pa.string()), rows.column(VERSION)], schema=QUARANTINE_SCHEMA
    )


def keys_to_json(rows: pa.RecordBatch, key: Sequence[str]) -> pa.Array:
    """Return each row's primary key as a JSON list of texts, as the quarantine stores it."""
    values = zip(*(to_text(rows.column(c)).to_pylist() for c in key), strict=True)
    return pa.array([json.dumps(v, ensure_ascii=False) for v in values], pa.string())


def _hex(values: pa.Array) -> pa.Array:
    return pa.array([None if v is None else v.hex() for v in values.to_pylist()], pa.string())


def _faults(values: pa.Array, column: Column) -> Iterator[tuple[Reason, pa.Array]]:
    """Yield each reason that a value of the column may have, and which values have it."""
    if column.any_bytes and pa.types.is_string(values.type):
        yield Reason.NOT_UTF8, is_marked(values)
    if column.has_range:
        yield Reason.OUT_OF_RANGE, is_out_of_range(values)
    elif pa.types.is_list(column.type):
        yield Reason.TOO_LONG, _is_too_long(values)
        yield Reason.NOT_A_LIST, pc.invert(is_list(values))
        if pa.types.is_decimal(column.type.value_type):
            yield Reason.NOT_A_NUMBER, pc.match_substring_regex(values, "NaN|Infinity")
    elif column.as_text and not pa.types.is_string(column.type):
        not_numbers, not_fitting = numbers.faults(values, column.type)
        yield Reason.NOT_A_NUMBER, not_numbers
        yield Reason.DOES_NOT_FIT, not_fitting
    elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        yield Reason.TOO_LONG, _is_too_long(values)


def _is_too_long(values: pa.Array) -> pa.Array:
    return pc.greater(pc.binary_length(values), _max_bytes(values.type))


def _max_bytes(type_: pa.DataType) -> int:
    return TEXT_BYTES if pa.types.is_string(type_) else BINARY_BYTES
