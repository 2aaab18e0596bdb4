"""Any values of the types that have a type of their own in a sink are equal in source, Silver and Gold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, time
from decimal import Decimal
from fractions import Fraction
from itertools import count

import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json, Jsonb

from include.sandbox import postgres as postgres_server
from tests.integration.one_table import OneTable

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
DOUBLES = st.floats(allow_nan=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TYPES = {
    "i2": ("smallint", st.integers(-(2**15), 2**15 - 1)),
    "i8": ("bigint", st.integers(-(2**63), 2**63 - 1)),
    "f8": ("float8", DOUBLES),
    "txt": ("text", TEXT),
    "raw": ("bytea", st.binary(max_size=5)),
    "d": ("date", st.dates()),
    "ts": ("timestamp", st.datetimes()),
    "tz": ("timestamptz", st.datetimes(timezones=st.just(UTC))),
    "t": ("time", st.times()),
    "n": ("numeric(20,4)", st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: Decimal(n).scaleb(-4))),
    "doc": ("json", DOCUMENTS.map(Json)),
    "bin": ("jsonb", DOCUMENTS.map(Jsonb)),
    "ints": ("int[]", st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=3)),
    "floats": ("float8[]", st.lists(st.none() | DOUBLES, max_size=3)),
    "texts": ("text[]", st.lists(st.none() | TEXT, max_size=3)),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in TYPES.items()}), max_size=30)
serial = count(1)


@settings(
    max_examples=5,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS)
def test_any_value_is_equal_in_source_silver_and_gold(postgres, lake, snowflake_account, rows):
    """Numbers to the last bit, texts of any characters, documents and lists of any values."""
    database = f"any_value_{next(serial)}"
    postgres_server.create_database(postgres, database)
    silver = replace(snowflake_account, schema=database.upper())
    source = {"table": "one", "key": "id"}
    one = OneTable(postgres.uri(database), f"s3://{lake.bucket}/{database}", lake, silver, source)
    columns = ", ".join(f"{name} {sql}" for name, (sql, _) in TYPES.items())
    with psycopg.connect(one.dsn) as connection:
        connection.execute(f"CREATE TABLE one (id int PRIMARY KEY, postcode text, {columns})")
        places = ", ".join(["%s"] * len(TYPES))
        for number, row in enumerate(rows):
            connection.execute(f"INSERT INTO one VALUES ({number}, NULL, {places})", [row[name] for name in TYPES])
    one.run()
    held = one.sql(f"SELECT id, {', '.join(map(read, TYPES))} FROM one")
    expected = {number: dict(zip(TYPES, values, strict=True)) for number, *values in held}
    for sink in (one.gold, one.silver):
        found = {row["id"]: {name: plain(name, row[name]) for name in TYPES} for row in sink()} if rows else {}
        assert {n: printed(row) for n, row in found.items()} == {
            n: printed({name: plain(name, value) for name, value in row.items()}) for n, row in expected.items()
        }


def read(name):
    """Return what is selected of a column: documents as text, which no client interprets."""
    return f"{name}::text" if name in {"doc", "bin"} else name


def plain(name, value):
    """Return a value as all layers have it: documents and lists parsed, times as times."""
    if value is None:
        return None
    if name in {"doc", "bin"}:
        parsed = json.loads(value, parse_int=Fraction, parse_float=Fraction)
        return json.loads(parsed, parse_int=Fraction, parse_float=Fraction) if is_inexact(parsed) else parsed
    if name in {"ints", "floats", "texts"}:
        value = json.loads(value) if isinstance(value, str) else value
        return [float(x) if name == "floats" and x is not None else x for x in value]
    if name == "tz":
        return value.astimezone(UTC)
    if isinstance(value, str) and name == "t":
        return time.fromisoformat(value)
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else value


def is_inexact(document):
    """Return whether a VARIANT holds the text of a document: only numbers that a double rounds make one."""
    return isinstance(document, str) and document[:1] in {*"{[-0123456789"} and len(document) > 15


def printed(row):
    """Return the values of a row so that -0.0 differs from 0.0."""
    return {name: repr(value) for name, value in row.items()}
