"""
Columns and types, described once for all layers.

A `Column` knows how it is read from Postgres, what it is in Arrow and Delta,
and what it is in Snowflake. A Postgres type with no exact counterpart in all
of them (uuid, json, arrays, unbounded numeric, interval, ...) travels as its
text, which loses nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from include.medallion.errors import ContractBroken
from include.medallion.model.window import Window

TIMESTAMP_UTC = pa.timestamp("us", tz="UTC")
_EXACT_TYPES = {
    "bool": (pa.bool_(), "BOOLEAN"),
    "int2": (pa.int16(), "SMALLINT"),
    "int4": (pa.int32(), "INTEGER"),
    "int8": (pa.int64(), "BIGINT"),
    "float4": (pa.float32(), "FLOAT"),
    "float8": (pa.float64(), "FLOAT"),
    "text": (pa.string(), "VARCHAR"),
    "varchar": (pa.string(), "VARCHAR"),
    "bpchar": (pa.string(), "VARCHAR"),
    "bytea": (pa.binary(), "BINARY"),
    "date": (pa.date32(), "DATE"),
    "timestamp": (pa.timestamp("us"), "TIMESTAMP_NTZ(6)"),
    "timestamptz": (TIMESTAMP_UTC, "TIMESTAMP_TZ(6)"),
}
_SNOWFLAKE_TYPES = dict(_EXACT_TYPES.values())
_DIGITS_KEY = b"medallion.digits"
ENRICHMENT_TYPES = {"string": pa.string(), "long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}
"""Types that an enrichment may add, by their name in the pipeline file."""
VERSION = "_version"
BATCH_ID = "_batch_id"
LOADED_AT = "_loaded_at"
DELETED_AT = "_deleted_at"
OP = "_op"
MAX_PRECISION = 38


@dataclass(frozen=True, slots=True)
class Column:
    """One column, the same in every layer."""

    name: str
    type: pa.DataType  # in Gold, and in memory once the contract is checked
    snowflake_type: str
    as_text: bool = False  # read from Postgres as text

    @property
    def read_type(self) -> pa.DataType:
        """Arrow type as it comes from the source."""
        return pa.string() if self.as_text else self.type

    @property
    def read_field(self) -> pa.Field:
        """Arrow field as it is staged raw; a number that is still text remembers its digits."""
        digits = f"{self.type.precision},{self.type.scale}" if pa.types.is_decimal(self.type) else None
        return pa.field(self.name, self.read_type, metadata={_DIGITS_KEY: digits} if digits else None)

    @property
    def snowflake_name(self) -> str:
        """Return the column's name in Snowflake."""
        return snowflake_name(self.name)


def snowflake_name(name: str) -> str:
    """Return upper case for a plain lower-case name, so that SQL needs no quotes; else the name as it is."""
    return name.upper() if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else name


def quote_identifier(identifier: str) -> str:
    """Quote an SQL identifier (Postgres, Snowflake and DataFusion agree on how)."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """
    Quote an SQL string literal for Postgres.

    `E''` form: a backslash means the same whatever `standard_conforming_strings` says.
    """
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def source_column(name: str, typname: str, typmod: int) -> Column:
    """Describe a Postgres column from its catalogue entry (base type name, type modifier)."""
    if typname in _EXACT_TYPES:
        return Column(name, *_EXACT_TYPES[typname])
    if typname == "numeric" and (digits := _precision_and_scale(typmod)):
        return Column(name, pa.decimal128(*digits), f"NUMBER({digits[0]},{digits[1]})", as_text=True)
    return Column(name, pa.string(), "VARCHAR", as_text=True)


def typed_column(name: str, type_: pa.DataType) -> Column:
    """Describe a column by its Arrow type, e.g. one that an enrichment adds."""
    if pa.types.is_decimal(type_):
        return Column(name, type_, f"NUMBER({type_.precision},{type_.scale})")
    return Column(name, type_, _SNOWFLAKE_TYPES[type_])


def columns_from_schema(staged: pa.Schema) -> tuple[Column, ...]:
    """Describe the columns of a staged file, raw or enriched: what is staged needs no catalogue to be read again."""
    return tuple(_column_from_field(f) for f in staged if f.name not in _INTERNAL_COLUMNS)


def _column_from_field(field: pa.Field) -> Column:
    digits = (field.metadata or {}).get(_DIGITS_KEY)
    if digits is None:
        return typed_column(field.name, field.type)
    precision, scale = map(int, digits.decode().split(","))
    return Column(field.name, pa.decimal128(precision, scale), f"NUMBER({precision},{scale})", as_text=True)


SYSTEM_COLUMNS = (
    typed_column(VERSION, pa.int64()),
    typed_column(BATCH_ID, pa.int64()),
    typed_column(LOADED_AT, TIMESTAMP_UTC),
    typed_column(DELETED_AT, TIMESTAMP_UTC),
)
"""Columns that every Silver and Gold table ends with; `_deleted_at` is NULL while the row lives."""
OP_COLUMN = typed_column(OP, pa.string())
"""Column that rows have on their way only."""


_INTERNAL_COLUMNS = {OP, *(c.name for c in SYSTEM_COLUMNS)}


def check_names(columns: list[Column]) -> None:
    """
    Refuse columns that would fall together in a sink.

    Raises:
        ContractBroken: names the columns and what to do.
    """
    counts = Counter(c.snowflake_name.upper() for c in columns)
    if twice := sorted(c.name for c in columns if counts[c.snowflake_name.upper()] > 1):
        raise ContractBroken(
            f"columns {twice} have the same name in a sink: exclude one of them (source.exclude) or rename it in the "
            "source; latitude, longitude, geocode_status, geocode_precision and names like _version are added by us"
        )


def _precision_and_scale(typmod: int) -> tuple[int, int] | None:
    """Precision and scale of numeric(p, s); None when unbounded or wider than both sinks."""
    if typmod < 0:
        return None
    precision, scale = ((typmod - 4) >> 16) & 0xFFFF, (typmod - 4) & 0x7FF
    return (precision, scale) if precision <= MAX_PRECISION and scale <= precision else None


def batch_columns(window: Window) -> list[pa.Scalar]:
    """Return what the rows of a batch have in common: the system columns after `_version`."""
    values = (window.batch_id, window.opened_at, None)
    return [pa.scalar(value, column.type) for value, column in zip(values, SYSTEM_COLUMNS[1:], strict=True)]


UPSERT = "upsert"
