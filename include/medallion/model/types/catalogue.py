"""The types of PostgreSQL as a table is created with them: the rows of `docs/types.md`, each of which has a test."""

from __future__ import annotations

from include.medallion.model.types.table import OTHERS, SourceType

_NUMERIC_10_2 = (10 << 16 | 2) + 4
_SPELLED = {"char": '"char"'}
_NAMED = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "text": "text",
    "varchar(10)": "varchar",
    "char(5)": "bpchar",
    "bytea": "bytea",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "time": "time",
    "json": "json",
    "jsonb": "jsonb",
    "hstore": "hstore",
}
_ELEMENTS = (
    *("boolean", "smallint", "integer", "bigint", "real", "double precision", "text", "varchar(10)", "char(5)", "date"),
    *("timestamptz", "time", "jsonb", "uuid", "bytea"),
)
ROWS: dict[str, SourceType] = {
    **{sql: SourceType(name) for sql, name in _NAMED.items()},
    "numeric(10,2)": SourceType("numeric", _NUMERIC_10_2),
    "numeric": SourceType("numeric"),
    "numeric(50,2)": SourceType("numeric", (50 << 16 | 2) + 4),
    **{_SPELLED.get(name, name): SourceType(name) for name in OTHERS},
    **{f"{sql}[]": SourceType(_NAMED.get(sql, sql), dimensions=1) for sql in _ELEMENTS},
    "numeric(10,2)[]": SourceType("numeric", _NUMERIC_10_2, 1),
    "numeric[]": SourceType("numeric", dimensions=1),
    "box[]": SourceType("box", dimensions=1),
    "integer[][]": SourceType("int4", dimensions=2),
    "an enum": SourceType(""),
    "an enum[]": SourceType("", dimensions=1),
    "a composite type": SourceType(""),
    "a range of your own": SourceType(""),
    "a domain over integer": SourceType("int4"),
    "a domain over numeric(10,2)[]": SourceType("numeric", _NUMERIC_10_2, 1),
    "an array of a domain over integer": SourceType("int4", dimensions=1),
}
"""Type by the SQL that declares it; a type that is named in words is one that a user makes."""
