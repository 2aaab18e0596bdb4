"""The page of types: what each type of PostgreSQL becomes in Arrow, Snowflake and Delta."""

from __future__ import annotations

import pyarrow as pa

from include.medallion.model.types.catalogue import ROWS
from include.medallion.model.types.table import declared_type, sink_type

INTRODUCTION = """\
# Types

Generated from `include/medallion/model/types/` by `docs/generate.py`. Each row has a test
([test_types.py](../tests/integration/test_types.py)): the value in Postgres, in Snowflake and in Delta is equal.

Nothing is rounded or cut. A type without an exact counterpart in a sink arrives as the text that PostgreSQL prints, in
UTC and in ISO style. A type that is not listed, your own or one of an extension, arrives as its text too.

- **Documents** (`json`, `jsonb`, `hstore`) are a VARIANT in Snowflake and JSON text in Delta. Two kinds of document
  have no exact VARIANT: one with a number that a double would round, and one in which an object has a name twice (only
  `json` allows that). The VARIANT is then a string, the document's text: `IS_VARCHAR(c)` finds it, and
  `PARSE_JSON(c::VARCHAR)` reads it with its numbers rounded. A JSON `null` is a VARIANT null, not an SQL NULL.
- **Arrays** are an ARRAY in Snowflake and a list in Delta. Elements keep their type if it is boolean, integer,
  floating point or `numeric(p,s)`; elements of another type are their text. NaN, infinity and a decimal that a double
  would round are text in Snowflake's ARRAY, which has JSON's numbers. An array that is declared with several
  dimensions (`integer[][]`) is text. PostgreSQL does not enforce the declaration: a row whose array has several
  dimensions, or does not begin at 1, though the column is declared with one dimension, is quarantined as `NOT_A_LIST`.
- **Times** (`time`) are a TIME in Snowflake and text in Delta, which has no such type. Snowflake has no `24:00:00`:
  such a row is quarantined as `OUT_OF_RANGE`.
- **Columns of the key, and columns that an enrichment reads,** stay text if they are a document, an array or a time.
- **Lengths**: text has at most 134,217,728 bytes and binary data 67,108,864, Snowflake's limits; a row with a longer
  value is quarantined as `TOO_LONG`.
- **Encodings**: a database or role of any encoding is read as UTF-8. A database with the encoding SQL_ASCII holds any
  bytes: a row with text that is no UTF-8 is quarantined as `NOT_UTF8`, such bytes written as `\\xfc`, and comments of
  its tables are not carried over.
"""
DELTA = {
    "bool": "boolean",
    "int16": "short",
    "int32": "integer",
    "int64": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "date32[day]": "date",
    "timestamp[us]": "timestamp_ntz",
    "timestamp[us, tz=UTC]": "timestamp",
}


def delta_name(type_: pa.DataType) -> str:
    """Return the name of a type in Delta."""
    if pa.types.is_list(type_):
        return f"array<{delta_name(type_.value_type)}>"
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    return DELTA[str(type_)]


def page() -> str:
    """Return the page with what each type of PostgreSQL becomes."""
    lines = [INTRODUCTION, "| PostgreSQL | Arrow | Snowflake | Delta |", "|---|---|---|---|"]
    for sql, source in ROWS.items():
        found = sink_type(source)
        cells = (str(found.arrow), declared_type(found.snowflake), delta_name(found.arrow))
        name = sql if sql.startswith(("a ", "an ")) else f"`{sql}`"
        lines.append(f"| {name} | {' | '.join(f'`{cell}`' for cell in cells)} |")
    return "\n".join(lines) + "\n"
