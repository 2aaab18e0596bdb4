"""
Validate rows: the primary key is not NULL, and every sink can hold every value.

Validation is columnar. An invalid row is quarantined with a reason; it is never
changed and never dropped. Limits of the sinks: dates of the years 1 to 9999,
16 MiB of text and 8 MiB of bytes (https://docs.snowflake.com/en/sql-reference/data-types).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.columns import VERSION, Column

QUARANTINE_SCHEMA = pa.schema(
    [("reason", pa.string()), ("key", pa.string()), ("row", pa.string()), (VERSION, pa.int64())]
)
"""Staged quarantined rows: reason, primary key and whole row as JSON, version."""

TEXT_BYTES = 16 << 20
BINARY_BYTES = 8 << 20
_YEAR_1, _YEAR_10000 = -719_162, 2_932_897  # days from 1970-01-01
_DAY_US = 86_400_000_000


class Reason(StrEnum):
    """Why a row is in quarantine."""

    NULL_KEY = "NULL_KEY"
    KEY_REFUSED = "KEY_REFUSED"  # the provider rejects the enrichment key
    NOT_A_NUMBER = "NOT_A_NUMBER"  # NaN in a column of exact numbers
    OUT_OF_RANGE = "OUT_OF_RANGE"  # infinity, or a year before 1 or after 9999
    TOO_LONG = "TOO_LONG"


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
    faults += [(reason, _invalid(batch.column(c.name), c)) for c in columns if (reason := _reason_to_check(c))]
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
    reason = _reason_to_check(column)
    return reason is not None and (reason is not Reason.TOO_LONG or size > _max_bytes(column.read_type))


def to_sink_types(batch: pa.RecordBatch, columns: Sequence[Column]) -> list[pa.Array]:
    """Return the columns of valid rows in the types of the sinks."""
    return [batch.column(c.name).cast(c.type) if c.as_text else batch.column(c.name) for c in columns]


def mask_out_of_range(values: pa.Array) -> pa.Array:
    """Return dates and times, with NULL for those outside the years 1 to 9999; return other columns unchanged."""
    if not pa.types.is_temporal(values.type):
        return values
    stored = values.cast(pa.int32() if pa.types.is_date(values.type) else pa.int64())
    return pc.if_else(_out_of_range(stored, values.type), None, values)


def to_text(values: pa.Array) -> pa.Array:
    """Return any column as text; a date or time outside the years 1 to 9999 becomes the number that it is stored as."""
    if not pa.types.is_temporal(values.type):
        return values.cast(pa.string()) if not pa.types.is_binary(values.type) else _hex(values)
    stored = values.cast(pa.int32() if pa.types.is_date(values.type) else pa.int64())
    return pc.coalesce(mask_out_of_range(values).cast(pa.string()), stored.cast(pa.string()))


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


def _reason_to_check(column: Column) -> Reason | None:
    if pa.types.is_decimal(column.type):
        return Reason.NOT_A_NUMBER
    if pa.types.is_temporal(column.type):
        return Reason.OUT_OF_RANGE
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return Reason.TOO_LONG
    return None


def _invalid(values: pa.Array, column: Column) -> pa.Array:
    if pa.types.is_decimal(column.type):
        return pc.invert(pc.match_substring_regex(values, r"^-?[0-9]*\.?[0-9]+$"))
    if pa.types.is_temporal(column.type):
        return _out_of_range(values.cast(pa.int32() if pa.types.is_date(column.type) else pa.int64()), column.type)
    return pc.greater(pc.binary_length(values), _max_bytes(values.type))


def _max_bytes(type_: pa.DataType) -> int:
    return TEXT_BYTES if pa.types.is_string(type_) else BINARY_BYTES


def _out_of_range(stored: pa.Array, type_: pa.DataType) -> pa.Array:
    unit = 1 if pa.types.is_date(type_) else _DAY_US
    return pc.or_(pc.less(stored, _YEAR_1 * unit), pc.greater_equal(stored, _YEAR_10000 * unit))
