"""Every Postgres type and every name arrives in both sinks by equal value, or is refused in words that help."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, isnan
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from include.medallion.errors import ContractBroken, SettingError, Transient
from include.medallion.ops.reconcile import reconcile
from include.medallion.steps.run import run
from tests.integration.one_table import OneTable

NOON = datetime(2021, 1, 1, 12, 0, 0, 123456)  # noqa: DTZ001 (what `timestamp` means)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# name: (type, literal, value in both sinks)
PLAIN = {
    "yes": ("bool", "true", True),
    "no": ("bool", "false", False),
    "i2_least": ("int2", "-32768", -(2**15)),
    "i2_most": ("int2", "32767", 2**15 - 1),
    "i4_least": ("int4", "-2147483648", -(2**31)),
    "i4_most": ("int4", "2147483647", 2**31 - 1),
    "i8_least": ("int8", "-9223372036854775808", -(2**63)),
    "i8_most": ("int8", "9223372036854775807", 2**63 - 1),
    "f4": ("float4", "1.5", 1.5),
    "f4_most": ("float4", "3.4028235e38", 3.4028234663852886e38),
    "f8_least": ("float8", "5e-324", 5e-324),
    "f8_most": ("float8", "1.7976931348623157e308", 1.7976931348623157e308),
    "f8_infinite": ("float8", "-Infinity", -inf),
    "t_empty": ("text", "", ""),
    "t_hard": ("text", "\U0001f600 \n\t'\"\\ \u00e9\u0065\u0301", "\U0001f600 \n\t'\"\\ \u00e9\u0065\u0301"),
    "t_null_word": ("text", "NULL", "NULL"),
    "t_spaces": ("varchar(10)", "  x  ", "  x  "),
    "t_padded": ("char(5)", "ab", "ab   "),
    "bytes": ("bytea", "\\x00ff", b"\x00\xff"),
    "no_bytes": ("bytea", "", b""),
    "d_first": ("date", "0001-01-01", date(1, 1, 1)),
    "d_last": ("date", "9999-12-31", date(9999, 12, 31)),
    "ts": ("timestamp", "2021-01-01 12:00:00.123456", NOON),
    "ts_first": ("timestamp", "0001-01-01", FIRST.replace(tzinfo=None)),
    "ts_last": ("timestamp", "9999-12-31 23:59:59.999999", LAST.replace(tzinfo=None)),
    "tz": ("timestamptz", "2021-01-01 14:00:00.123456+02", NOON.replace(tzinfo=UTC)),
    "tz_first": ("timestamptz", "0001-01-01 00:00+00", FIRST),
    "tz_last": ("timestamptz", "9999-12-31 23:59:59.999999+00", LAST),
    "n": ("numeric(10,2)", "-0.01", Decimal("-0.01")),
    "n_whole": ("numeric(18)", "9" * 18, Decimal("9" * 18)),
    "n_widest": ("numeric(38,10)", "-" + "9" * 28 + "." + "9" * 10, Decimal("-" + "9" * 28 + "." + "9" * 10)),
    "n_small": ("numeric(38,38)", "0." + "0" * 37 + "1", Decimal("1e-38")),
}
# name: (type, literal, text in both sinks)
AS_TEXT = {
    "n_any": ("numeric", "0.10", "0.10"),
    "n_huge": ("numeric", "9" * 1000 + ".5", "9" * 1000 + ".5"),
    "n_nan": ("numeric", "NaN", "NaN"),
    "n_too_wide": ("numeric(50,2)", "1", "1.00"),
    "n_negative_scale": ("numeric(5,-2)", "12345", "12300"),
    "n_scale_over_precision": ("numeric(3,5)", "0.00999", "0.00999"),
    "u": ("uuid", "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "m": ("mood", "happy", "happy"),
    "ip": ("inet", "10.0.0.1/8", "10.0.0.1/8"),
    "t_zone": ("timetz", "12:00:00.5+02", "12:00:00.5+02"),
    "span": ("interval", "1 year -2 days 00:00:01.5", "1 year -2 days +00:00:01.5"),
    "bits": ("bit(3)", "101", "101"),
    "r": ("int4range", "[1,4]", "[1,5)"),
    "place": ("point", "(1.5,2)", "(1.5,2)"),
    "pair": ("pair", '(1,"a b")', '(1,"a b")'),
    "object": ("oid", "4294967295", "4294967295"),
}
DOMAINS = {
    "of_numeric": ("price", "1.50", Decimal("1.50")),
    "of_domain": ("low_price", "1.50", Decimal("1.50")),
    "of_text": ("short", "ab", "ab"),
    "of_enum": ("feeling", "sad", "sad"),
    "of_time": ("at", "2021-01-01 12:00:00.123456", NOON),
}
TYPES = [
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE TYPE pair AS (number int, name text)",
    "CREATE DOMAIN price AS numeric(10, 2)",
    "CREATE DOMAIN low_price AS price CHECK (value < 100)",
    "CREATE DOMAIN short AS varchar(5) NOT NULL",
    "CREATE DOMAIN feeling AS mood",
    "CREATE DOMAIN at AS timestamp",
]
ONE = {"table": "one", "key": "id"}


@pytest.fixture
def pipeline(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a pipeline from its source block."""
    return lambda source=ONE, enrich=None, **settings: OneTable(
        bronze_dsn, lake_uri, lake, silver, source, enrich, **settings
    )


def table(columns):
    """Return the statements that make a table of these columns."""
    defined = ", ".join(f"{name} {type_}" for name, (type_, _, _) in columns.items())
    return [*TYPES, f"CREATE TABLE one (id int PRIMARY KEY, postcode text, {defined})"]


def arrived(one, columns):
    """Make a table of these columns with one row and return the row as each sink holds it."""
    one.sql(*table(columns))
    with psycopg.connect(one.dsn) as connection:
        values = [literal for _, literal, _ in columns.values()]
        places = ", ".join(["%s"] * len(values))
        connection.execute(f"INSERT INTO one VALUES (1, '98052', {places})", values)
    one.run()
    return ({name: row[name] for name in columns} for sink in (one.gold(), one.silver()) for row in sink)


@pytest.mark.parametrize("columns", [PLAIN, AS_TEXT, DOMAINS], ids=["exact", "as text", "domains"])
def test_values_of_every_type_arrive_in_both_sinks(pipeline, columns):
    """Each value is the same in Postgres, Gold and Silver, at the type's ends too; as text if it has no twin there."""
    expected = {name: value for name, (_, _, value) in columns.items()}
    gold, silver = arrived(pipeline(), columns)
    assert gold == expected
    assert silver == expected


def test_nulls_of_every_type_arrive_as_nulls(pipeline):
    """A NULL of any type stays a NULL."""
    one = pipeline()
    columns = {**PLAIN, **AS_TEXT}
    one.sql(*table(columns))
    one.sql("INSERT INTO one (id) VALUES (1)")
    one.run()
    for sink in (one.gold(), one.silver()):
        assert [row[name] for row in sink for name in columns] == [None] * len(columns)


def test_a_float_that_is_no_number_arrives(pipeline):
    """NaN is a value of a float, in both sinks."""
    for row in arrived(pipeline(), {"x": ("float8", "NaN", None)}):
        assert isnan(row["x"])


OUT_OF_CALENDAR = [
    ("d", "infinity"),
    ("d", "-infinity"),
    ("d", "0001-12-31 BC"),
    ("d", "10000-01-01"),
    ("ts", "infinity"),
    ("ts", "-infinity"),
    ("ts", "4713-01-01 BC"),
    ("ts", "294276-12-31 23:59:59.999999"),
    ("tz", "infinity"),
    ("tz", "0001-12-31 23:59:59+00 BC"),
    ("tz", "10000-01-01 00:00+00"),
]


def test_times_out_of_the_calendar_are_set_aside(pipeline):
    """Times that a sink cannot hold go to quarantine as OUT_OF_RANGE; the other rows arrive."""
    one = pipeline()
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, d date, ts timestamp, tz timestamptz)",
        *(f"INSERT INTO one (id, {c}) VALUES ({n}, '{v}')" for n, (c, v) in enumerate(OUT_OF_CALENDAR)),
        "INSERT INTO one VALUES (100, NULL, '2021-01-01', '2021-01-01', '2021-01-01')",
    )
    one.run()
    found = {int(*json.loads(row["key"])): row["reason"] for row in one.quarantine()}
    assert found == dict.fromkeys(range(len(OUT_OF_CALENDAR)), "OUT_OF_RANGE")
    assert [row["id"] for row in one.gold()] == [row["id"] for row in one.silver()] == [100]


def test_a_number_that_is_none_is_set_aside(pipeline):
    """NaN in a column of exact numbers goes to quarantine as NOT_A_NUMBER, with the row's text."""
    one = pipeline()
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, price numeric(10, 2))",
        "INSERT INTO one VALUES (1, NULL, 'NaN'), (2, NULL, 1)",
    )
    one.run()
    (found,) = one.quarantine()
    assert found["reason"] == "NOT_A_NUMBER"
    assert json.loads(found["row"])["price"] == "NaN"
    assert [row["price"] for row in one.gold()] == [Decimal("1.00")]


def test_texts_do_not_depend_on_the_roles_settings(pipeline):
    """What travels as text reads the same in any time zone and style of the role."""
    one = pipeline()
    one.sql(
        *(
            f"ALTER DATABASE {one.dsn.rpartition('/')[2]} SET {setting}"
            for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'", "intervalstyle = 'sql_standard'")
        ),
        f"ALTER DATABASE {one.dsn.rpartition('/')[2]} SET extra_float_digits = 0",
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, moments timestamptz[], span interval, floats float8[])",
        "INSERT INTO one VALUES (1, NULL, ARRAY['2021-01-01 00:00+00'::timestamptz], '1 day', '{0.30000000000000004}')",
    )
    one.run()
    (row,) = one.gold()
    assert row["moments"] == ["2021-01-01 00:00:00+00"]
    assert row["span"] == "1 day"
    assert row["floats"] == [0.30000000000000004]


def test_a_database_and_a_role_of_another_encoding_are_read_as_utf_8(pipeline):
    """Text, names and labels of a LATIN1 database arrive, also if the role asks for LATIN1."""
    one = pipeline()
    database = f"{one.dsn.rpartition('/')[2]}_latin1"
    one.sql(
        f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        f"ALTER DATABASE {database} SET client_encoding = 'LATIN1'",
    )
    one.dsn = one.dsn.rpartition("/")[0] + f"/{database}"
    one.connections = replace(one.connections, bronze=one.dsn)
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, größe text, names text[])",
        "INSERT INTO one VALUES (1, NULL, 'Müller', '{Größe}')",
    )
    one.run()
    for (row,) in (one.gold(), one.silver()):
        assert row["größe"] == "Müller"
        assert "Größe" in json.loads(row["names"]) if isinstance(row["names"], str) else row["names"]


def test_text_that_is_no_utf_8_is_quarantined(pipeline):
    """A database with the encoding SQL_ASCII holds any bytes: good rows arrive, bad ones are readable in quarantine."""
    one = pipeline()
    database = f"{one.dsn.rpartition('/')[2]}_ascii"
    one.sql(f"CREATE DATABASE {database} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    one.dsn = one.dsn.rpartition("/")[0] + f"/{database}"
    one.connections = replace(one.connections, bronze=one.dsn)
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, v text, names text[])",
        "INSERT INTO one VALUES (1, NULL, convert_from('\\x4dfc', 'SQL_ASCII'), NULL)",
        "INSERT INTO one VALUES (2, NULL, convert_from('\\x4dc3bc', 'SQL_ASCII'), '{a}')",
        "INSERT INTO one VALUES (3, NULL, NULL, ARRAY[convert_from('\\xff', 'SQL_ASCII')])",
    )
    one.run()
    for rows in (one.gold(), one.silver()):
        assert [(row["id"], row["v"]) for row in rows] == [(2, "Mü")]
    assert [entry["reason"] for entry in one.quarantine()] == ["NOT_UTF8"] * 2
    assert json.loads(one.quarantine()[0]["row"])["v"] == "M\\xfc"
    report = reconcile(one.pipeline, one.connections)
    assert (report.waiting, report.faults) == (2, 0)


@pytest.mark.parametrize("type_", ["bool", "date"])
def test_a_users_type_named_like_a_built_in_one_is_not_taken_for_it(pipeline, type_):
    """An enum in a schema of the user's travels as its text also if its name is a built-in type's."""
    one = pipeline()
    one.sql(
        "CREATE SCHEMA mine",
        f"CREATE TYPE mine.{type_} AS ENUM ('never', 'today')",
        f"CREATE TABLE one (id int PRIMARY KEY, postcode text, x mine.{type_})",
        "INSERT INTO one VALUES (1, NULL, 'today')",
    )
    one.run()
    assert [row["x"] for row in (*one.gold(), *one.silver())] == ["today", "today"]


@pytest.mark.parametrize("name", ["MixedCase", "select", "a \"b\" 'c'; {d} 100% e.f,(é)"])
def test_any_name_of_a_table_schema_and_column_is_taken_as_it_is(pipeline, name):
    """Upper case, blanks, quotes and reserved words need no care, in key columns too: updates find their row."""
    one = pipeline({"schema": f"s {name}", "table": name, "key": name})
    table, column = sql.Identifier(f"s {name}", name), sql.Identifier(name)
    one.sql(
        sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(f"s {name}")),
        sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, postcode text, value text)").format(table, column),
        sql.SQL("INSERT INTO {} VALUES (1, NULL, 'a'), (2, NULL, 'b')").format(table),
    )
    one.run()
    one.sql(sql.SQL("UPDATE {} SET value = 'c' WHERE {} = 2").format(table, column))
    one.run()
    for sink in (one.gold(), one.silver()):
        assert [(row[name], row["value"]) for row in sink] == [(1, "a"), (2, "c")]


def test_names_in_the_source_that_differ_by_case_only_are_refused(pipeline):
    """Two columns with the same name in Snowflake are named, with the fix."""
    one = pipeline()
    one.sql(
        'CREATE TABLE one (id int PRIMARY KEY, postcode text, "City" text, city text)', "INSERT INTO one VALUES (1)"
    )
    with pytest.raises(ContractBroken, match=r"\['City', 'city'\].*columns.exclude"):
        one.run()


@pytest.mark.parametrize("name", ["latitude", "Geocode_Status", "_batch_id", "_version", "_op"])
def test_a_column_named_like_one_that_is_added_is_refused(pipeline, name):
    """A source column that an added one would overwrite stops the run, with the way out."""
    one = pipeline()
    one.sql(f'CREATE TABLE one (id int PRIMARY KEY, postcode text, "{name}" text)', "INSERT INTO one VALUES (1)")
    with pytest.raises(ContractBroken, match=rf"'{name}'.*columns.exclude"):
        one.run()


def test_an_excluded_column_is_in_neither_sink(pipeline):
    """What columns.exclude names never leaves the source: not even its name."""
    one = pipeline(columns={"exclude": ["secret", "latitude"]})
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, secret text, latitude text)",
        "INSERT INTO one VALUES (1, NULL, 'hidden', 'x')",
    )
    one.run()
    assert "secret" not in one.gold_names()
    assert [name.lower() for row in one.silver() for name in row].count("secret") == 0
    assert [row["latitude"] for row in one.gold()] == [None]


def test_a_dropped_column_does_not_matter(pipeline):
    """What the catalogue remembers of a dropped column is not read."""
    one = pipeline()
    one.sql(
        "CREATE TABLE one (gone int, id int PRIMARY KEY, postcode text)",
        "ALTER TABLE one DROP COLUMN gone",
        "INSERT INTO one VALUES (1)",
    )
    one.run()
    assert [row["id"] for row in one.silver()] == [1]


KEYS = {
    "uuid": ("k uuid PRIMARY KEY", ["k"], f"'{UUID(int=1)}'", f"'{UUID(int=2)}'"),
    "text": ("k text UNIQUE", ["k"], "'it''s'", "'\u00e9'"),
    "many": (
        "d date, t timestamptz, n numeric(20,2), b bytea, PRIMARY KEY (d, t, n, b)",
        ["d", "t", "n", "b"],
        "'2021-01-01', '2021-01-01 00:00:00.000001+00', -1.01, '\\x00'",
        "'2021-01-01', '2021-01-01 00:00:00.000001+00', -1.01, '\\x01'",
    ),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_any_type_finds_its_row_again(pipeline, kind):
    """An update of a row replaces it in both sinks, for keys of any type."""
    columns, key, first, second = KEYS[kind]
    one = pipeline({**ONE, "key": key})
    one.sql(
        f"CREATE TABLE one (postcode text, v text, {columns})",
        f"INSERT INTO one VALUES (NULL, 'a', {first}), (NULL, 'b', {second})",
    )
    one.run()
    one.sql("UPDATE one SET v = 'c' WHERE v = 'b'")
    summary = one.run()
    assert summary.sinks["gold"].updated == summary.sinks["silver"].updated == 1
    assert sorted(row["v"] for row in one.gold()) == sorted(row["v"] for row in one.silver()) == ["a", "c"]


def test_a_composite_key_finds_its_row_again(pipeline):
    """Rows that share one column of the key and differ in the other are different rows."""
    one = pipeline({**ONE, "key": ["tenant", "number"]})
    one.sql(
        "CREATE TABLE one (tenant text, number int, postcode text, v text, PRIMARY KEY (number, tenant))",
        "INSERT INTO one VALUES ('a', 1, NULL, 'a1'), ('a', 2, NULL, 'a2'), ('b', 1, NULL, 'b1')",
    )
    one.run()
    one.sql("UPDATE one SET v = 'new' WHERE tenant = 'b'")
    one.run()
    for sink in (one.gold(), one.silver()):
        assert [row["v"] for row in sink] == ["a1", "a2", "new"]


def test_a_row_without_a_whole_key_is_set_aside(pipeline):
    """A NULL in a unique index's column is no key: the row goes to quarantine."""
    one = pipeline({**ONE, "key": "k"})
    one.sql("CREATE TABLE one (k int UNIQUE, postcode text)", "INSERT INTO one VALUES (NULL), (1)")
    one.run()
    assert [row["reason"] for row in one.quarantine()] == ["NULL_KEY"]
    assert [row["k"] for row in one.silver()] == [1]


def test_a_partitioned_table_is_read_whole(pipeline):
    """Rows of all partitions arrive, new ones of a new partition and one that moved between them too."""
    one = pipeline({**ONE, "key": ["id", "year"]})
    one.sql(
        "CREATE TABLE one (id int, year int, postcode text, PRIMARY KEY (id, year)) PARTITION BY LIST (year)",
        "CREATE TABLE one_2020 PARTITION OF one FOR VALUES IN (2020)",
        "CREATE TABLE one_2021 PARTITION OF one FOR VALUES IN (2021)",
        "INSERT INTO one VALUES (1, 2020), (2, 2021)",
    )
    assert one.run().read == 2
    one.sql(
        "CREATE TABLE one_2022 PARTITION OF one FOR VALUES IN (2022)",
        "INSERT INTO one VALUES (3, 2022)",
    )
    assert one.run().read == 1
    assert [row["id"] for row in one.silver()] == [1, 2, 3]


def test_a_key_that_is_not_unique_is_refused_with_those_that_are(pipeline):
    """The refusal lists the column sets that the pipeline could name instead."""
    one = pipeline({**ONE, "key": "name"})
    one.sql("CREATE TABLE one (id int PRIMARY KEY, a int, b int, name text, postcode text, UNIQUE (b, a))")
    with pytest.raises(ContractBroken, match=r"one: key \['name'\] is not unique.*\[\['a', 'b'\], \['id'\]\]"):
        one.begin()


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ON one (k) WHERE k > 0",
        "CREATE UNIQUE INDEX ON one (lower(k::text))",
        "CREATE UNIQUE INDEX ON one (k, (v + 1))",
        "CREATE UNIQUE INDEX ON one (v) INCLUDE (k)",
        "ALTER TABLE one ADD UNIQUE (k) DEFERRABLE INITIALLY DEFERRED",
        "CREATE INDEX ON one (k)",
    ],
)
def test_an_index_that_does_not_make_the_key_unique_does_not_count(pipeline, index):
    """Partial, expression, deferrable and plain indexes, and columns merely included, promise nothing."""
    one = pipeline({**ONE, "key": "k"})
    one.sql("CREATE TABLE one (k int, v int, postcode text)", index)
    with pytest.raises(ContractBroken, match="is not unique"):
        one.begin()


@pytest.mark.parametrize("kind", ["VIEW", "SEQUENCE"])
def test_what_is_no_table_is_refused(pipeline, kind):
    """A view has no transaction ids of its own: it cannot be a source."""
    one = pipeline()
    one.sql({"VIEW": "CREATE VIEW one AS SELECT 1 AS id, '' AS postcode", "SEQUENCE": "CREATE SEQUENCE one"}[kind])
    with pytest.raises(ContractBroken, match=r"public\.one is no table"):
        one.begin()


def test_a_table_that_others_inherit_from_is_refused(pipeline):
    """Over a table and those that inherit from it no index makes a key unique."""
    one = pipeline()
    one.sql("CREATE TABLE one (id int PRIMARY KEY, postcode text)", "CREATE TABLE child () INHERITS (one)")
    with pytest.raises(ContractBroken, match="inherit"):
        one.begin()


def test_a_missing_table_is_refused_with_what_to_check(pipeline):
    """The refusal names the table and the settings that could be wrong."""
    with pytest.raises(SettingError, match=r"public\.one does not exist.*source\.schema, source\.table"):
        pipeline().begin()


def test_missing_columns_are_refused_with_those_there_are(pipeline):
    """The refusal names what the pipeline wants and what the table has."""
    one = pipeline()
    one.sql("CREATE TABLE one (id int PRIMARY KEY, zip text)")
    with pytest.raises(SettingError, match=r"one names columns \['postcode'\], but the table has \['id', 'zip'\]"):
        one.begin()


def test_an_unknown_excluded_column_is_refused(pipeline):
    """A misspelt name in columns.exclude would let the column out: it stops the run."""
    one = pipeline(columns={"exclude": ["secrte"]})
    one.sql("CREATE TABLE one (id int PRIMARY KEY, postcode text, secret text)")
    with pytest.raises(SettingError, match=r"columns names.*\['secrte'\]"):
        one.begin()


@pytest.fixture
def stranger(pipeline):
    """Lend a pipeline with a table, whose role may log in and no more."""
    one = pipeline()
    role = "stranger_" + one.dsn.rpartition("/")[2]
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, secret text)",
        "INSERT INTO one VALUES (1, NULL, 'hidden')",
        f"CREATE ROLE {role} LOGIN PASSWORD 'known'",
    )
    server = one.dsn.partition("@")[2]
    one.role, one.stranger = role, f"postgresql://{role}:known@{server}"
    return one


def as_stranger(one, uri=None):
    """Run the pipeline with the stranger's login, or another."""
    return run(one.pipeline, replace(one.connections, bronze=uri or one.stranger))


def test_a_role_that_may_not_read_is_told_what_to_grant(stranger):
    """A missing right is a refusal that names the table and the right, not a library's error."""
    with pytest.raises(SettingError, match=r"public\.one.*GRANT SELECT"):
        as_stranger(stranger)


def test_select_is_the_only_right_that_is_needed(stranger):
    """A role with SELECT on the table, and nothing else, runs the pipeline."""
    stranger.sql(f"GRANT SELECT ON one TO {stranger.role}")
    assert as_stranger(stranger).read == 1


def test_a_policy_that_hides_rows_is_refused(stranger):
    """A role that sees part of the table would lose the rest without a sign: it stops the run."""
    stranger.sql(
        f"GRANT SELECT ON one TO {stranger.role}",
        "ALTER TABLE one ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY no_row ON one USING (false)",
    )
    with pytest.raises(SettingError, match="BYPASSRLS"):
        as_stranger(stranger)


def test_a_wrong_password_is_refused_without_repeating_it(stranger):
    """The refusal names the connection; it does not hold the password."""
    with pytest.raises(SettingError, match="connection `bronze`") as refused:
        as_stranger(stranger, stranger.stranger.replace(":known@", ":guessed@"))
    assert "guessed" not in str(refused.value)


def test_a_missing_database_is_refused(stranger):
    """A database that is not there will not come by itself."""
    with pytest.raises(SettingError, match="connection `bronze`"):
        as_stranger(stranger, stranger.stranger + "_not")


def test_a_server_that_is_down_may_come_back(stranger):
    """A refused connection is worth another try, and the message holds no password."""
    with pytest.raises(Transient, match="cannot be reached") as refused:
        as_stranger(stranger, "postgresql://u:known@127.0.0.1:1/x")
    assert "known" not in str(refused.value)
