"""
Columns and types, described once for all layers.

A `Column` has a type for reading from Postgres, one in Arrow and Delta, and one
in Snowflake. Values of a Postgres type without an exact counterpart in all of
them (uuid, json, arrays, unbounded numeric, interval, ...) are transferred as
their text, which loses nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from include.medallion.errors import ContractBroken
from include.medallion.model.values.masks import Mask
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
    type: pa.DataType  # in Gold, and in memory after validation
    snowflake_type: str
    as_text: bool = False  # read from Postgres as text
    source_name: str = ""  # in the source, where it is another one
    mask: Mask | None = None

    @property
    def read_type(self) -> pa.DataType:
        """Arrow type of the values as they are read from the source."""
        return pa.string() if self.as_text else self.type

    @property
    def read_field(self) -> pa.Field:
        """Arrow field of raw staged files; for an exact number, read as text, it holds precision and scale."""
        digits = f"{self.type.precision},{self.type.scale}" if pa.types.is_decimal(self.type) else None
        return pa.field(self.name, self.read_type, metadata={_DIGITS_KEY: digits} if digits else None)

    @property
    def snowflake_name(self) -> str:
        """Return the column's name in Snowflake."""
        return snowflake_name(self.name)


def snowflake_name(name: str) -> str:
    """
    Return the name of a column or table in Snowflake.

    A plain lower-case name becomes upper case, so that SQL needs no quotes; any other name is unchanged.

    >>> snowflake_name("first_name"), snowflake_name("First name")
    ('FIRST_NAME', 'First name')
    """
    return name.upper() if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else name


def quote_identifier(identifier: str) -> str:
    """Quote an SQL identifier, in the same way for Postgres, Snowflake and DataFusion."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """
    Quote an SQL string literal for Postgres.

    The `E''` form does not depend on the server's setting `standard_conforming_strings`.
    """
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def source_column(name: str, typname: str, typmod: int) -> Column:
    """
    Describe a Postgres column.

    Args:
        name: the column's name.
        typname: name of its base type in `pg_type`.
        typmod: its type modifier (`pg_attribute.atttypmod`).
    """
    if typname in _EXACT_TYPES:
        return Column(name, *_EXACT_TYPES[typname])
    if typname == "numeric" and (digits := _precision_and_scale(typmod)):
        return Column(name, pa.decimal128(*digits), f"NUMBER({digits[0]},{digits[1]})", as_text=True)
    return Column(name, pa.string(), "VARCHAR", as_text=True)


def selected_column(column: Column, sink_name: str, mask: Mask | None) -> Column:
    """
    Return a column of the source as the sinks get it.

    Args:
        column: as `source_column` describes it.
        sink_name: its name in the sinks.
        mask: what replaces its values, if anything; most masks make text of them.
    """
    if mask is not None and not mask.keeps_type:
        column = Column(column.name, pa.string(), "VARCHAR", as_text=True)
    source_name = column.name if column.name != sink_name else ""
    return replace(column, name=sink_name, source_name=source_name, mask=mask)


def typed_column(name: str, type_: pa.DataType) -> Column:
    """Describe a column that has this Arrow type, such as one that an enrichment adds."""
    if pa.types.is_decimal(type_):
        return Column(name, type_, f"NUMBER({type_.precision},{type_.scale})")
    return Column(name, type_, _SNOWFLAKE_TYPES[type_])


def columns_from_schema(staged: pa.Schema) -> tuple[Column, ...]:
    """Describe the columns of a staged file, raw or enriched, without reading the source's system catalog."""
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
"""Last columns of every Silver and Gold table; `_deleted_at` is NULL for live rows."""
OP_COLUMN = typed_column(OP, pa.string())
"""Column that rows have only while they are staged."""


_INTERNAL_COLUMNS = {OP, *(c.name for c in SYSTEM_COLUMNS)}


def check_names(columns: Sequence[Column]) -> None:
    """
    Check that no two columns have the same name in a sink.

    Args:
        columns: of the source and of the enrichments, and the system columns.

    Raises:
        ContractBroken: two columns have the same name; the message names them and the fix.
    """
    counts = Counter(c.snowflake_name.upper() for c in columns)
    if duplicates := sorted(c.name for c in columns if counts[c.snowflake_name.upper()] > 1):
        raise ContractBroken(
            f"columns {duplicates} have the same name in a sink: exclude one (columns.exclude) or rename "
            "it (columns.rename). Enrichments add columns such as latitude, every sink table has some such as _version"
        )


def _precision_and_scale(typmod: int) -> tuple[int, int] | None:
    """Return precision and scale of numeric(p, s); None if it is unbounded or too wide for a sink."""
    if typmod < 0:
        return None
    precision, scale = ((typmod - 4) >> 16) & 0xFFFF, (typmod - 4) & 0x7FF
    return (precision, scale) if precision <= MAX_PRECISION and scale <= precision else None


def batch_columns(window: Window) -> list[pa.Scalar]:
    """Return the values that all rows of a batch share: those of the system columns after `_version`."""
    values = (window.batch_id, window.opened_at, None)
    return [pa.scalar(value, column.type) for value, column in zip(values, SYSTEM_COLUMNS[1:], strict=True)]


UPSERT = "upsert"
