"""Each row of docs/types.md: a value of the type in Postgres, in staging, in Snowflake and in Delta."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from include.medallion.bronze.postgres.connection import connect
from include.medallion.bronze.table import describe_table
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import source_column
from include.medallion.model.types.catalogue import ROWS
from include.medallion.model.types.table import ARRAY, TEXT, VARIANT, sink_type
from include.sandbox import postgres as postgres_server
from tests.integration.one_table import OneTable

# type: literal, or (literal, value in Delta, value in Snowflake); without values, the literal's text arrives in both
VALUES = {
    "boolean": ("true", True, True),
    "smallint": ("-32768", -(2**15), -(2**15)),
    "integer": ("2147483647", 2**31 - 1, 2**31 - 1),
    "bigint": ("-9223372036854775808", -(2**63), -(2**63)),
    "real": ("1.5", 1.5, 1.5),
    "double precision": ("-0.0", -0.0, -0.0),
    "text": "é 😀\n",
    "varchar(10)": "  x  ",
    "char(5)": ("ab", "ab   ", "ab   "),
    "bytea": ("\\x00ff", b"\x00\xff", b"\x00\xff"),
    "date": ("0001-01-01", date(1, 1, 1), date(1, 1, 1)),
    "timestamp": ("2021-01-01 12:00:00.123456", *[datetime(2021, 1, 1, 12, 0, 0, 123456)] * 2),  # noqa: DTZ001
    "timestamptz": ("2021-01-01 14:00+02", *[datetime(2021, 1, 1, 12, tzinfo=UTC)] * 2),
    "time": ("12:00:00.123456", "12:00:00.123456", time(12, 0, 0, 123456)),
    "json": ('{"b":  1, "a": [null, 0.5]}', '{"b":  1, "a": [null, 0.5]}', {"b": 1, "a": [None, 0.5]}),
    "jsonb": ('{"b":  1, "a": "é"}', '{"a": "é", "b": 1}', {"b": 1, "a": "é"}),
    "hstore": ('a=>1, "b c"=>NULL', '{"a": "1", "b c": null}', {"a": "1", "b c": None}),
    "numeric(10,2)": ("-0.01", Decimal("-0.01"), Decimal("-0.01")),
    "numeric": "0.10",
    "numeric(50,2)": "1.00",
    "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "citext": "AbC",
    "name": "pg_class",
    '"char"': "x",
    "xml": "<a/>",
    "money": "$1.50",
    "interval": "1 year -2 days +00:00:01.5",
    "timetz": "12:00:00.5+02",
    "bit": "1",
    "varbit": "10110",
    "inet": "10.0.0.1/8",
    "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05",
    "point": "(1.5,2)",
    "line": "{1,-1,0}",
    "lseg": "[(0,0),(1,1)]",
    "box": "(1,1),(0,0)",
    "path": "((0,0),(1,1))",
    "polygon": "((0,0),(1,1),(1,0))",
    "circle": "<(0,0),1>",
    "tsvector": "'a':1 'b':2",
    "tsquery": "'a' & 'b'",
    "jsonpath": '$."a"',
    "pg_lsn": "16/B374D848",
    "oid": "4294967295",
    "xid": "7",
    "xid8": "18446744073709551615",
    "cid": "1",
    "tid": "(0,1)",
    "regclass": "pg_class",
    "regtype": "integer",
    "regproc": "pg_backend_pid",
    "regprocedure": "abs(integer)",
    "regoper": "|/",
    "regoperator": "+(integer,integer)",
    "regrole": "postgres",
    "regnamespace": "pg_catalog",
    "regconfig": "simple",
    "regdictionary": "simple",
    "regcollation": '"C"',
    "pg_snapshot": "10:20:10,14",
    "txid_snapshot": "10:20:10,14",
    "int2vector": "1 2",
    "oidvector": "1 2",
    "aclitem": "postgres=r/postgres",
    "refcursor": "portal",
    "int4range": "[1,5)",
    "int8range": "[1,5)",
    "numrange": "[1.5,2.50]",
    "tsrange": '["2021-01-01 00:00:00","2021-01-02 00:00:00")',
    "tstzrange": '["2021-01-01 00:00:00+00",)',
    "daterange": "[2021-01-01,infinity)",
    "int4multirange": "{[1,2),[3,4)}",
    "int8multirange": "{[1,2)}",
    "nummultirange": "{[1.5,2]}",
    "tsmultirange": '{["2021-01-01 00:00:00","2021-01-02 00:00:00")}',
    "tstzmultirange": '{["2021-01-01 00:00:00+00",)}',
    "datemultirange": "{[2021-01-01,2021-01-02)}",
    "geometry": "0101000020E6100000000000000000F03F0000000000000040",
    "geography": "0101000020E6100000000000000000F03F0000000000000040",
    "boolean[]": ("{t,f,NULL}", [True, False, None], [True, False, None]),
    "smallint[]": ("{1,-2}", [1, -2], [1, -2]),
    "integer[]": ("{1,NULL,3}", [1, None, 3], [1, None, 3]),
    "bigint[]": ("{9223372036854775807}", [2**63 - 1], [2**63 - 1]),
    "real[]": ("{0.1,-0}", [pytest.approx(0.1), -0.0], [0.1, -0.0]),
    "double precision[]": ("{0.1,1e300,Infinity}", [0.1, 1e300, float("inf")], [0.1, 1e300, "Infinity"]),
    "text[]": ('{"a,b",NULL,"NULL","","\\"\\\\ é"}', *[["a,b", None, "NULL", "", '"\\ é']] * 2),
    "varchar(10)[]": ("{}", [], []),
    "char(5)[]": ("{ab}", ["ab   "], ["ab   "]),
    "date[]": ("{2021-01-01,infinity}", *[["2021-01-01", "infinity"]] * 2),
    "timestamptz[]": ("{2021-01-01 02:00+02}", *[["2021-01-01 00:00:00+00"]] * 2),
    "time[]": ("{24:00:00}", ["24:00:00"], ["24:00:00"]),
    "jsonb[]": ('{"{\\"a\\": 1}"}', ['{"a": 1}'], ['{"a": 1}']),
    "uuid[]": ("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", *[["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]] * 2),
    "bytea[]": ('{"\\\\x00ff"}', ["\\x00ff"], ["\\x00ff"]),
    "numeric(10,2)[]": ("{1.50,NULL}", [Decimal("1.50"), None], [1.5, None]),
    "numeric[]": ("{1.50,NaN}", ["1.50", "NaN"], ["1.50", "NaN"]),
    "box[]": "{(1,1),(0,0)}",
    "integer[][]": "{{1,NULL},{3,4}}",
    "an enum": "sad",
    "an enum[]": ("{sad,happy}", ["sad", "happy"], ["sad", "happy"]),
    "a composite type": '(1,"a b")',
    "a range of your own": "[1.5,2)",
    "a domain over integer": ("7", 7, 7),
    "a domain over numeric(10,2)[]": ("{1.50}", [Decimal("1.50")], [1.5]),
    "an array of a domain over integer": ("{7}", [7], [7]),
}
OWN = {
    "an enum": "mood",
    "an enum[]": "mood[]",
    "a composite type": "pair",
    "a range of your own": "own_range",
    "a domain over integer": "own_integer",
    "a domain over numeric(10,2)[]": "own_prices",
    "an array of a domain over integer": "own_integer[]",
}
MAKE = [
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE TYPE pair AS (number int, name text)",
    "CREATE TYPE own_range AS RANGE (subtype = float8)",
    "CREATE DOMAIN own_integer AS integer",
    "CREATE DOMAIN own_prices AS numeric(10,2)[]",
]
NAMES = {row: f"c{number}" for number, row in enumerate(ROWS)}


def alike(found, expected):
    """Compare values; 0.0 differs from -0.0."""
    return found == expected and repr(found).count("-0.0") == repr(expected).count("-0.0")


def literal(row):
    """Return the literal of a row's value."""
    return VALUES[row] if isinstance(VALUES[row], str) else VALUES[row][0]


@pytest.fixture(scope="module")
def arrived(postgres, lake, snowflake_account):
    """Make a table with a column of each type that this server has; return its columns, and the rows of each sink."""
    postgres_server.create_database(postgres, "every_type")
    silver = replace(snowflake_account, schema="EVERY_TYPE")
    source = {"table": "one", "key": "id"}
    one = OneTable(postgres.uri("every_type"), f"s3://{lake.bucket}/every-type", lake, silver, source)
    with psycopg.connect(one.dsn, autocommit=True) as connection:
        for statement in [*(f"CREATE EXTENSION {name}" for name in _extensions(connection)), *MAKE]:
            connection.execute(statement)
        there = [row for row in ROWS if _exists(connection, row)]
        columns = ", ".join(f"{NAMES[row]} {OWN.get(row, row)}" for row in there)
        connection.execute(f"CREATE TABLE one (id int PRIMARY KEY, postcode text, {columns})")
        places = sql.SQL(", ").join(sql.Literal(literal(row)) for row in there)
        connection.execute(sql.SQL("INSERT INTO one VALUES (1, NULL, {})").format(places))
        connection.execute("INSERT INTO one VALUES (2)")
    one.run()
    with connect(one.dsn) as connection:
        described = describe_table(connection, Source.model_validate(source)).columns
    return {c.name: c for c in described}, one.gold(), one.silver()


def _extensions(connection):
    wanted = "SELECT name FROM pg_available_extensions WHERE name = ANY (ARRAY['hstore', 'citext', 'postgis'])"
    return [name for (name,) in connection.execute(wanted)]


def _exists(connection, row):
    """Return whether this server, as it was built, has the type."""
    try:
        connection.execute(sql.SQL("SELECT {}::{}").format(sql.Literal(literal(row)), sql.SQL(OWN.get(row, row))))
    except (psycopg.errors.UndefinedObject, psycopg.errors.FeatureNotSupported):
        return False
    return True


@pytest.mark.parametrize("row", ROWS)
def test_a_value_of_each_type_is_equal_in_every_layer(arrived, row):
    """The column has the types that the table says, and its value and a NULL arrive in both sinks."""
    described, gold, silver = arrived
    if NAMES[row] not in described:
        pytest.skip("this server does not have the type")
    column, expected = described[NAMES[row]], sink_type(ROWS[row])
    assert (column.type, column.snowflake_type) == (expected.arrow, expected.snowflake)
    given = VALUES[row]
    delta, snowflake = (given, given) if isinstance(given, str) else given[1:]
    found = silver[0][NAMES[row]]
    assert alike(gold[0][NAMES[row]], delta)
    assert alike(json.loads(found) if column.snowflake_type in {VARIANT, ARRAY} else found, snowflake)
    assert [gold[1][NAMES[row]], silver[1][NAMES[row]]] == [None, None]


def test_every_built_in_type_has_a_row(bronze_dsn):
    """The table lists all types that a column of this server may have, but those of the server's own statistics."""
    own = ("pg_brin_%", "pg_dependencies", "pg_mcv_list", "pg_ndistinct", "pg_node_tree", "gtsvector")
    with psycopg.connect(bronze_dsn) as connection:
        found = connection.execute(
            "SELECT t.typname FROM pg_type AS t WHERE t.typnamespace = 'pg_catalog'::regnamespace"
            " AND t.typtype IN ('b', 'r', 'm') AND t.typname NOT LIKE ALL (%s)"
            " AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)",
            [list(own)],
        ).fetchall()
    assert {name for (name,) in found} <= {row.name for row in ROWS.values()}


@pytest.mark.parametrize("name", ["user_made", "_anything"])
def test_an_unknown_type_is_text(name):
    """A type that the table does not know is its text in both sinks."""
    column = source_column("x", name, -1)
    assert (column.type, column.snowflake_type, column.as_text) == (pa.string(), TEXT, True)
