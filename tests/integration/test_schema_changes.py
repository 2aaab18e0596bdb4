"""DDL of the source between two runs: all values of source, Silver and Gold are equal afterwards, or the run stops."""

from __future__ import annotations

import psycopg
import pytest

from include.medallion.errors import SchemaChanged
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

CREATE = "CREATE TABLE one (id int PRIMARY KEY, postcode text, {columns})"


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table with three rows, and brings them to both sinks."""

    def make(columns, rows, **settings):
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"})
        one.pipeline = one.pipeline.model_validate(one.pipeline.model_dump(by_alias=True) | settings)
        values = ", ".join(f"({n}, '98052', {row})" for n, row in enumerate(rows, 1))
        one.sql(CREATE.format(columns=columns), f"INSERT INTO one VALUES {values}")
        one.run()
        return one

    return make


def names_of(one):
    """Return the source's columns."""
    return [row[0] for row in one.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'one'")]


def assert_equal(one):
    """Compare all values of all columns of the source with both sinks."""
    names = sorted(names_of(one))
    quoted = ", ".join(f'"{name}"' for name in names)
    source = [tuple(map(plain, row)) for row in one.sql(f"SELECT {quoted} FROM one ORDER BY 1 NULLS LAST")]
    for rows in (one.gold(), one.silver()):
        found = [tuple(plain(row[name]) for name in names) for row in rows if row["_deleted_at"] is None]
        assert sorted(found, key=str) == sorted(source, key=str)


def plain(value):
    """Return a value as it can be compared: numbers by value, others as text."""
    return value if value is None or isinstance(value, bool) else str(value)


CHANGES = {
    "an integer becomes a number with decimals": (
        "c int",
        ["1", "2", "3"],
        ["ALTER TABLE one ALTER c TYPE numeric(10,2)", "UPDATE one SET c = 1.50 WHERE id = 1"],
    ),
    "a number loses its limit": (
        "c numeric(10,2)",
        ["1.25", "2", "3"],
        ["ALTER TABLE one ALTER c TYPE numeric", "UPDATE one SET c = 1.23456789 WHERE id = 1"],
    ),
    "an integer becomes a bigint": (
        "c int",
        ["1", "2", "3"],
        ["ALTER TABLE one ALTER c TYPE bigint", "UPDATE one SET c = 3000000000 WHERE id = 1"],
    ),
    "the key becomes a bigint": (
        "c int",
        ["1", "2", "3"],
        ["ALTER TABLE one ALTER id TYPE bigint", "INSERT INTO one VALUES (3000000000, '10001', 4)"],
    ),
    "a number gets more decimals": (
        "c numeric(10,2)",
        ["1.25", "2", "3"],
        ["ALTER TABLE one ALTER c TYPE numeric(12,4)", "UPDATE one SET c = 1.2345 WHERE id = 1"],
    ),
    "an integer becomes text": (
        "c int",
        ["1", "2", "3"],
        ["ALTER TABLE one ALTER c TYPE text", "UPDATE one SET c = 'n/a' WHERE id = 1"],
    ),
    "a column with a default is added": (
        "b text",
        ["'x'", "'y'", "'z'"],
        ["ALTER TABLE one ADD COLUMN c text NOT NULL DEFAULT 'x'", "INSERT INTO one VALUES (4, '98052', 'v')"],
    ),
    "a column is renamed": (
        "b text",
        ["'x'", "'y'", "'z'"],
        [
            "ALTER TABLE one RENAME b TO b2",
            "UPDATE one SET b2 = 'n' WHERE id = 1",
            "INSERT INTO one VALUES (4, '98052', 'v')",
        ],
    ),
    "two columns swap their names": (
        "a text, b text",
        ["'x', '1'", "'y', '2'", "'z', '3'"],
        [
            "ALTER TABLE one RENAME a TO t",
            "ALTER TABLE one RENAME b TO a",
            "ALTER TABLE one RENAME t TO b",
            "UPDATE one SET a = 'n' WHERE id = 1",
        ],
    ),
    "a column is dropped and one of its name is added": (
        "b text",
        ["'x'", "'y'", "'z'"],
        [
            "ALTER TABLE one DROP b",
            "ALTER TABLE one ADD b int",
            "UPDATE one SET b = 7 WHERE id = 1",
        ],
    ),
    "a column is dropped and one of its name and type is added": (
        "b text",
        ["'x'", "'y'", "'z'"],
        ["ALTER TABLE one DROP b", "ALTER TABLE one ADD b text", "UPDATE one SET b = 'n' WHERE id = 1"],
    ),
    "a label of an enum is renamed": (
        "m mood",
        ["'sad'", "'sad'", "'happy'"],
        ["ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"],
    ),
    "a timestamp is added and some rows get one": (
        "b text",
        ["'x'", "'y'", "'z'"],
        ["ALTER TABLE one ADD COLUMN ts timestamp", "UPDATE one SET ts = '2024-02-29 12:00:00.5' WHERE id = 1"],
    ),
    "a virtual generated column is added": (
        "b text",
        ["'x'", "'y'", "'z'"],
        ["ALTER TABLE one ADD COLUMN t int GENERATED ALWAYS AS (id * 2) VIRTUAL"],
    ),
}


@pytest.fixture
def mood(bronze_dsn):
    """Create the enum that one of the tables has."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")


@pytest.mark.usefixtures("mood")
@pytest.mark.parametrize("change", CHANGES)
def test_all_values_are_equal_after_a_change(table, change):
    """A schema change and writes of new values, then one run: all three layers hold equal values in every column."""
    columns, rows, statements = CHANGES[change]
    one = table(columns, rows)
    one.sql(*statements)
    one.run()
    assert_equal(one)
    assert one.run() is None


@pytest.mark.usefixtures("mood")
@pytest.mark.parametrize("operation", ["window", "replay", "full refresh", "reconcile"])
@pytest.mark.parametrize("change", CHANGES)
def test_untouched_updated_inserted_and_reinserted_rows_are_equal(table, change, operation):
    """A schema change among rows of every history, then each operation of a pipeline: all three layers are equal."""
    columns, rows, statements = CHANGES[change]
    one = table(columns, rows)
    old = staged(one, "UPDATE one SET postcode = '60601' WHERE id = 2")
    one.sql(*(statement for statement in statements if not statement.startswith(("UPDATE", "INSERT"))))
    one.sql(f"UPDATE one SET postcode = '10001' WHERE {key_of(one)} = 2", *reinsert(one, 3), *copy_row(one, 1, 9))
    one.run(**({"mode": Mode.REFRESH} if operation == "full refresh" else {}))
    if operation == "replay":
        for sink in ("silver", "gold"):
            one.apply(old, sink)
    if operation == "reconcile":
        one.sql(f"DELETE FROM one WHERE {key_of(one)} = 9")
        report = reconcile(one.pipeline, one.connections)
        assert [(sink.missing, sink.older, sink.deleted) for sink in report.sinks.values()] == [(0, 0, 1)] * 2
    assert_equal(one)


def staged(one, statement):
    """Stage and enrich a batch with one more write; return its window, applied to no sink."""
    one.sql(statement)
    window = one.begin(mode=Mode.TRIAL, max_rows=10)
    one.extract(window)
    one.enrich(window)
    return window


def key_of(one):
    """Return the key column."""
    return one.pipeline.source.key[0]


def stored_columns(one):
    """Return the columns that can be written, quoted."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'one' AND is_generated = 'NEVER'"
    return [f'"{row[0]}"' for row in one.sql(query)]


def reinsert(one, key):
    """Return statements that delete a row and insert it again."""
    names = ", ".join(stored_columns(one))
    return [
        f"CREATE TEMP TABLE kept AS SELECT {names} FROM one WHERE {key_of(one)} = {key}",
        f"DELETE FROM one WHERE {key_of(one)} = {key}",
        f"INSERT INTO one ({names}) SELECT {names} FROM kept",
    ]


def copy_row(one, key, new):
    """Return a statement that inserts a copy of a row under another key."""
    others = ", ".join(name for name in stored_columns(one) if name != f'"{key_of(one)}"')
    return [f'INSERT INTO one ("{key_of(one)}", {others}) SELECT {new}, {others} FROM one WHERE {key_of(one)} = {key}']


def test_an_expression_that_changes_changes_all_rows(table):
    """SET EXPRESSION of a virtual column writes no row, and still every row arrives with its new value."""
    one = table("b text, t int GENERATED ALWAYS AS (id * 2) VIRTUAL", ["'x'", "'y'", "'z'"])
    one.sql("ALTER TABLE one ALTER t SET EXPRESSION AS (id * 3)")
    one.run()
    assert_equal(one)


def test_a_dropped_column_is_null_in_rows_written_afterwards(table):
    """A row of somebody else does not get the value of a column that was dropped before it came."""
    one = table("w text", ["'PERSONAL'", "'y'", "'z'"])
    one.sql("DELETE FROM one WHERE id = 1", "ALTER TABLE one DROP w", "INSERT INTO one VALUES (1, '10001')")
    one.run()
    assert [row["w"] for row in one.gold()] == [row["w"] for row in one.silver()] == [None, "y", "z"]


def test_an_excluded_column_leaves_both_sinks(table):
    """`exclude`, added later, takes the column out of both sinks in the next run, which reports it."""
    one = table("b text", ["'x'", "'y'", "'z'"])
    one.set(columns={"exclude": ["b"]})
    one.sql("UPDATE one SET postcode = '10001' WHERE id = 1")
    summary = one.run()
    assert "b excluded" in summary.schema_changes[0]
    assert "b" not in one.gold()[0]
    assert "b" not in one.silver()[0]


def test_a_renamed_key_replaces_the_rows(table):
    """A renamed key is named by the message; with the file changed, rows are replaced, not doubled."""
    one = table("b text", ["'x'", "'y'", "'z'"])
    one.sql("ALTER TABLE one RENAME id TO emp_id", "UPDATE one SET b = 'n' WHERE emp_id = 1")
    source = one.pipeline.source.model_copy(update={"key": ["emp_id"]})
    one.pipeline = one.pipeline.model_copy(update={"source": source})
    one.run()
    assert_equal(one)


def test_fail_writes_nothing_and_names_the_options(table):
    """With `fail` a change stops the run before anything is written, until a person approves it."""
    one = table("c int", ["1", "2", "3"], on_schema_change="fail")
    one.sql("ALTER TABLE one ALTER c TYPE bigint", "UPDATE one SET c = 3000000000 WHERE id = 1")
    with pytest.raises(SchemaChanged, match=r"public.one changed: c widened \(integer -> bigint\).*approve"):
        one.run()
    assert [row["c"] for row in one.gold()] == [row["c"] for row in one.silver()] == [1, 2, 3]
    one.run(approve_schema_change=True)
    assert_equal(one)


def test_freeze_keeps_the_known_columns(table):
    """With `freeze` new columns do not flow, renamed ones keep their name, and the summary reports both."""
    one = table("b text", ["'x'", "'y'", "'z'"], on_schema_change="freeze")
    one.sql(
        "ALTER TABLE one ADD COLUMN c text DEFAULT 'new'",
        "ALTER TABLE one RENAME b TO b2",
        "UPDATE one SET b2 = 'n' WHERE id = 1",
    )
    summary = one.run()
    assert sorted(change.partition(":")[2] for change in summary.schema_changes) == [" frozen", " frozen"]
    for rows in (one.gold(), one.silver()):
        assert [(row["b"], "c" in row, "b2" in row) for row in rows] == [
            ("n", False, False),
            ("y", False, False),
            ("z", False, False),
        ]


def test_a_column_that_was_frozen_arrives_with_the_values_written_meanwhile(table):
    """Once the policy allows the column, all rows are read again: they had values while it was frozen."""
    one = table("b text", ["'x'", "'y'", "'z'"], on_schema_change="freeze")
    one.sql("ALTER TABLE one ADD COLUMN c text", "UPDATE one SET c = 'frozen' WHERE id = 1")
    one.run()
    one.sql("UPDATE one SET c = 'frozen too' WHERE id = 2")
    assert [change.partition(":")[2] for change in one.run().schema_changes] == [" frozen"]
    one.set(on_schema_change={"default": "evolve"})
    one.run()
    assert_equal(one)


def test_a_column_that_is_included_but_frozen_stays_out_until_the_policy_allows_it(table):
    """With `selected: freeze` every run reports the column; allowed, it arrives with all its values."""
    one = table("b text", ["'x'", "'y'", "'z'"], on_schema_change={"selected": "freeze"})
    one.set(columns={"exclude": ["b"]})
    one.run()
    one.set(columns={})
    for postcode in ("10001", "10002"):
        one.sql(f"UPDATE one SET postcode = '{postcode}'")
        assert one.run().schema_changes == ("b selected: frozen",)
        assert "b" not in one.gold()[0]
    one.set(on_schema_change={})
    one.run()
    assert_equal(one)


def test_many_rows_are_read_again_only_if_a_person_approves(table):
    """Above `max_reload_rows` a change that reads all rows again asks first."""
    one = table("b text", ["'x'", "'y'", "'z'"], max_reload_rows=2)
    one.sql("ANALYZE one", "ALTER TABLE one ADD COLUMN c text DEFAULT 'new'")
    with pytest.raises(SchemaChanged, match=r"About 3 rows have to be read again, more than max_reload_rows \(2\)"):
        one.run()
    one.run(approve_schema_change=True)
    assert_equal(one)


def test_an_older_batch_restores_no_old_value(table):
    """A trial that is applied again after a rename and a drop changes no row that the sinks hold newer."""
    one = table("a text, b text", ["'x', '1'", "'y', '2'", "'z', '3'"])
    one.sql("UPDATE one SET a = 'trial' WHERE id = 2")
    trial = one.begin(mode=Mode.TRIAL, max_rows=3)
    one.extract(trial)
    one.enrich(trial)
    one.sql(
        "ALTER TABLE one RENAME a TO c",
        "ALTER TABLE one DROP b",
        "UPDATE one SET c = 'newer' WHERE id = 2",
        "UPDATE one SET postcode = '10001'",
    )
    one.run()
    for sink in ("silver", "gold"):
        one.apply(trial, sink)
    assert_equal(one)
