"""
The table of types: what each type of PostgreSQL becomes in Arrow, in Delta and in Snowflake.

A type without an exact counterpart in both sinks is transferred as its text, which loses nothing. `docs/types.md` is
generated from this table, and each row of it has a test.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from include.medallion.model.types.arrow import TIMESTAMP_UTC, list_of
from include.medallion.model.types.names import MAX_PRECISION

TEXT, BINARY, VARIANT, ARRAY, TIME = "VARCHAR", "BINARY", "VARIANT", "ARRAY", "TIME(6)"
TEXT_BYTES, BINARY_BYTES = 128 << 20, 64 << 20
"""The longest values that Snowflake holds (https://docs.snowflake.com/en/sql-reference/data-types-text)."""
_LENGTHS = {TEXT: TEXT_BYTES, BINARY: BINARY_BYTES}


@dataclass(frozen=True, slots=True)
class SinkType:
    """
    What a type of PostgreSQL becomes.

    Args:
        arrow: type in staging and in Delta.
        snowflake: type in Snowflake, without the length of text and bytes.
        as_text: the values are read as text.
        cast: type that PostgreSQL converts a value to before its text is read; empty for none.
        may_repeat_names: an object may have a name twice.
    """

    arrow: pa.DataType
    snowflake: str
    as_text: bool = False
    cast: str = ""
    may_repeat_names: bool = False


@dataclass(frozen=True, slots=True)
class SourceType:
    """
    A type of PostgreSQL, domains resolved.

    Args:
        name: in `pg_type`, of an array that of its elements; empty for a type that a user or an unknown extension made.
        modifier: its type modifier (`pg_attribute.atttypmod`).
        dimensions: of an array, as declared; 0 for no array.
    """

    name: str
    modifier: int = -1
    dimensions: int = 0


AS_TEXT = SinkType(pa.string(), TEXT, as_text=True)
EXACT = {
    "bool": SinkType(pa.bool_(), "BOOLEAN"),
    "int2": SinkType(pa.int16(), "SMALLINT"),
    "int4": SinkType(pa.int32(), "INTEGER"),
    "int8": SinkType(pa.int64(), "BIGINT"),
    "float4": SinkType(pa.float32(), "FLOAT"),
    "float8": SinkType(pa.float64(), "FLOAT"),
    "text": SinkType(pa.string(), TEXT),
    "varchar": SinkType(pa.string(), TEXT),
    "bpchar": SinkType(pa.string(), TEXT),
    "bytea": SinkType(pa.binary(), BINARY),
    "date": SinkType(pa.date32(), "DATE"),
    "timestamp": SinkType(pa.timestamp("us"), "TIMESTAMP_NTZ(6)"),
    "timestamptz": SinkType(TIMESTAMP_UTC, "TIMESTAMP_TZ(6)"),
}
"""Types that every layer has."""
STRUCTURED = {
    "json": SinkType(pa.string(), VARIANT, as_text=True, may_repeat_names=True),
    "jsonb": SinkType(pa.string(), VARIANT, as_text=True),
    "hstore": SinkType(pa.string(), VARIANT, as_text=True, cast="json"),
    "time": SinkType(pa.string(), TIME, as_text=True),
}
"""Types that Snowflake has and Delta has not: there they are text."""
OTHERS = (
    *("uuid", "citext", "name", "char", "xml", "money", "interval", "timetz", "bit", "varbit", "inet", "cidr"),
    *("macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon", "circle", "tsvector", "tsquery"),
    *("jsonpath", "pg_lsn", "oid", "xid", "xid8", "cid", "tid", "regclass", "regtype", "regproc", "regprocedure"),
    *("regoper", "regoperator", "regrole", "regnamespace", "regconfig", "regdictionary", "regcollation"),
    *("pg_snapshot", "txid_snapshot", "int2vector", "oidvector", "aclitem", "refcursor"),
    *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    *("int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"),
    *("geometry", "geography"),
)
"""Other types of PostgreSQL and of its extensions, by their name: text. So is any type that is not listed."""
_EXACT_ELEMENTS = {"bool", "int2", "int4", "int8", "float4", "float8"}


def sink_type(source: SourceType) -> SinkType:
    """
    Return what a type of PostgreSQL becomes.

    >>> sink_type(SourceType("jsonb")).snowflake, sink_type(SourceType("int4", dimensions=1)).snowflake
    ('VARIANT', 'ARRAY')
    """
    if source.dimensions:
        return _array(source)
    if digits := exact_digits(source):
        return SinkType(pa.decimal128(*digits), f"NUMBER({digits[0]},{digits[1]})", as_text=True)
    return EXACT.get(source.name) or STRUCTURED.get(source.name) or AS_TEXT


def declared_type(snowflake: str) -> str:
    """
    Return a type of Snowflake as tables are created with it: with its length, or the default one would be shorter.

    >>> declared_type("VARCHAR"), declared_type("DATE")
    ('VARCHAR(134217728)', 'DATE')
    """
    return f"{snowflake}({_LENGTHS[snowflake]})" if snowflake in _LENGTHS else snowflake


def _array(source: SourceType) -> SinkType:
    """Return the type of an array; one that is declared with more dimensions, or separated by `;`, is text."""
    if source.dimensions > 1 or source.name == "box":
        return AS_TEXT
    element = pa.string()
    if source.name in _EXACT_ELEMENTS:
        element = EXACT[source.name].arrow
    elif digits := exact_digits(source):
        element = pa.decimal128(*digits)
    return SinkType(list_of(element), ARRAY, as_text=True)


def exact_digits(source: SourceType) -> tuple[int, int] | None:
    """Return precision and scale of numeric(p, s); None for another type, or if it is too wide for a sink."""
    if source.name != "numeric" or source.modifier < 0:
        return None
    precision, scale = ((source.modifier - 4) >> 16) & 0xFFFF, (source.modifier - 4) & 0x7FF
    return (precision, scale) if precision <= MAX_PRECISION and scale <= precision else None
