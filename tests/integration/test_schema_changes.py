"""DDL of the source between two runs: all values of source, Silver and Gold are equal afterwards, or the run stops."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import psycopg
import pytest

from include.medallion.errors import ContractBroken, SchemaChanged
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from include.medallion.staging.records.manifests import Incomplete
from include.medallion.steps import extract
from include.medallion.steps.open_window import open_window
from tests.contract.tracing import TracedConnection
from tests.integration.one_table import OneTable
from tests.integration.schema_cases import CASES, SETUP

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
    """Compare all values of all columns of the source with both sinks, as the pipeline selects them."""
    columns = one.pipeline.columns
    names = sorted(name for name in names_of(one) if columns.selects(name))
    read = ", ".join("NULL" if name in columns.mask else f'"{name}"' for name in names)
    where = one.pipeline.source.where or "true"
    source = [tuple(map(plain, row)) for row in one.sql(f"SELECT {read} FROM one WHERE {where}")]
    for rows in (one.gold(), one.silver()):
        found = [tuple(plain(row[name]) for name in names) for row in rows if row["_deleted_at"] is None]
        assert sorted(found, key=str) == sorted(source, key=str)


def plain(value):
    """Return a value as it can be compared: numbers by value, arrays as Postgres prints them, others as text."""
    if isinstance(value, str) and value.startswith("["):  # a Snowflake ARRAY
        value = json.loads(value)
    if isinstance(value, list):
        return f"{{{','.join(map(str, value))}}}"
    return value if value is None or isinstance(value, bool) else str(value)


@pytest.fixture
def types(bronze_dsn):
    """Create the types that some of the tables have."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        for statement in SETUP:
            connection.execute(statement)


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("change", CASES)
def test_rows_of_every_history_are_equal_after_a_change(table, change):
    """
    Rows are untouched, updated, inserted, deleted and re-inserted: all layers are equal after each operation.

    The operations: a reconcile, a run, the replay of a batch that was staged before the change.
    """
    case = CASES[change]
    one = table(case.columns, case.rows)
    old = staged(one, "UPDATE one SET postcode = '60601' WHERE id = 2")
    alter(one, case)
    assert reconciled(one) == case.reconcile
    summary = one.run()
    assert {line.rpartition(": ")[2] for line in summary.schema_changes if REMOVED not in line} <= {case.window}
    assert_equal(one)
    assert replayed(one, old) == case.replay
    assert_equal(one)


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("change", {(case.window, case.reconcile): name for name, case in CASES.items()}.values())
def test_deletes_are_found_after_a_change(table, change):
    """After each kind of run that a change leads to, a reconcile compares the keys again, and nothing is new."""
    case = CASES[change]
    one = table(case.columns, case.rows)
    alter(one, case)
    one.run()
    one.sql(f"DELETE FROM one WHERE {key_of(one)}::text LIKE '%9'")
    assert reconciled(one) == "compares"
    assert_equal(one)
    assert one.run() is None


@pytest.mark.usefixtures("types")
def test_a_full_refresh_brings_all_changes_at_once(table):
    """Every change of a column, in one table: a full refresh gives both sinks its columns, types and values."""
    retyped = [case for case in CASES.values() if "ALTER c TYPE" in "".join(case.change)]
    cases = {f"c{n}": case for n, case in enumerate(retyped)}
    columns = ", ".join(f"{name} {case.columns.removeprefix('c ')}" for name, case in cases.items())
    rows = [", ".join(case.rows[n] for case in cases.values()) for n in range(3)]
    one = table(columns, rows)
    old = staged(one, "UPDATE one SET postcode = '60601' WHERE id = 2")
    for name, case in cases.items():
        one.sql(*(re.sub(r"\bc\b", name, statement) for statement in (*case.change, *case.after)))
    one.sql(*reinsert(one, "id = 3"), *copy_row(one, "id = 1", 9))
    one.run(mode=Mode.REFRESH)
    assert_equal(one)
    assert replayed(one, old) == "refused"  # one of the columns became narrower
    assert_equal(one)
    assert one.run() is None


REMOVED = "earlier values removed"
"""What a run says besides that removed values."""


def alter(one, case):
    """Make a case's change, among rows that are left alone, updated, inserted, and deleted and inserted again."""
    for statement in case.change:
        one.sql(statement)
    one.set(**case.settings)
    key = key_of(one)
    second, third = (f"{key}::text LIKE '%{n}'" for n in (2, 3))
    one.sql(f"UPDATE one SET postcode = '10001' WHERE {second}", *case.after, *reinsert(one, third))
    one.sql(*copy_row(one, f"{key}::text LIKE '%1'", "9"))


def reconciled(one):
    """Reconcile, before a run perhaps; return whether it compared. It deletes what is gone, and finds nothing lost."""
    try:
        report = reconcile(one.pipeline, one.connections)
    except SchemaChanged:
        return "refused"
    assert [(sink.missing, sink.older) for sink in report.sinks.values()] == [(0, 0)] * 2
    return "compares"


def replayed(one, window):
    """Apply an older batch to both sinks; return whether it is one that still can be."""
    outcomes = set()
    for sink in ("silver", "gold"):
        try:
            one.apply(window, sink)
            outcomes.add("applied")
        except Incomplete:
            outcomes.add("removed")
        except ContractBroken as e:
            outcomes.add("refused" if "cannot be applied again" in str(e) else str(e))
    (outcome,) = outcomes
    return outcome


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


def reinsert(one, condition):
    """Return statements that delete rows and insert them again."""
    names = ", ".join(stored_columns(one))
    return [
        f"CREATE TEMP TABLE kept AS SELECT {names} FROM one WHERE {condition}",
        f"DELETE FROM one WHERE {condition}",
        f"INSERT INTO one ({names}) SELECT {names} FROM kept",
    ]


def copy_row(one, condition, new):
    """Return a statement that inserts a copy of a row under another key."""
    others = ", ".join(name for name in stored_columns(one) if name != f'"{key_of(one)}"')
    return [f'INSERT INTO one ("{key_of(one)}", {others}) SELECT {new}, {others} FROM one WHERE {condition}']


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


def test_a_column_continues_no_column_that_was_dropped_runs_ago(table):
    """The sinks keep a dropped column; one that gets its name later, in capitals here, shows none of its values."""
    one = table("b text", ["'x'", "'y'", "'z'"])
    one.sql("ALTER TABLE one DROP b", "UPDATE one SET postcode = '10001' WHERE id = 1")
    one.run()
    one.sql('ALTER TABLE one ADD COLUMN "B" text')
    assert one.run().schema_changes == ("B recreated ( -> text): tables replaced",)
    assert_equal(one)


def during_extract(one, act):
    """Begin a window and stage its rows; act once the table is locked and described, before a row is read."""
    read = extract.columns_to_read

    def columns_to_read(*args):
        act()
        return read(*args)

    window = one.begin()
    with patch.object(extract, "columns_to_read", columns_to_read):
        return one.extract(window)


def test_labels_that_change_while_rows_are_read_stop_the_batch(table, bronze_dsn):
    """ALTER TYPE does not wait for a reader: rows with two texts of one label never reach a sink."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    one = table("m mood", ["'sad'", "'happy'", "'sad'"])
    one.sql("UPDATE one SET postcode = '10001' WHERE id = 1")
    with pytest.raises(SchemaChanged, match=r"m labels.*the next run takes the change into account"):
        during_extract(one, lambda: one.sql("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"))
    one.run()
    assert_equal(one)


def test_ddl_that_waits_for_a_reader_does_not_stop_it(table, bronze_dsn):
    """ALTER TABLE waits for the reader that has the table's lock; other readers do not wait for ALTER TABLE."""
    one = table("b text", ["'x'", "'y'", "'z'"], parts={"rows_per_part": 1000, "max_parts": 4})
    one.sql("INSERT INTO one SELECT g, '98052', repeat('x', 99) FROM generate_series(4, 9000) AS g", "ANALYZE one")
    with ThreadPoolExecutor() as pool, psycopg.connect(bronze_dsn, autocommit=True) as connection:
        altered = []

        def alter_table():
            altered.append(pool.submit(one.sql, "ALTER TABLE one ALTER b SET NOT NULL"))
            while not connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                pass

        parts = during_extract(one, alter_table)
        altered[0].result()
    assert sum(file.info.rows for part in parts for file in part.files) == 8997


def test_keys_whose_text_changed_are_not_compared(table, bronze_dsn):
    """A label of the key was renamed: a reconcile waits for the run that replaces the rows, and nothing is doubled."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm')")
    one = table("m mood UNIQUE", ["'sad'", "'happy'", "'calm'"])
    one.set(source={"table": "one", "key": "m"})
    one.run()
    one.sql("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
    with pytest.raises(SchemaChanged, match="nothing was compared"):
        reconcile(one.pipeline, one.connections)
    assert one.run().schema_changes == ("m key: tables replaced",)
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


def test_a_column_that_is_renamed_while_a_run_starts_is_taken_into_account_by_the_next(table):
    """Between the look at the table and the one at its older rows: the run stops with its own message."""
    one = table("b text", ["'x'", "'y'", "'z'"])
    one.sql("ALTER TABLE one ADD COLUMN c text")
    renames = ["ALTER TABLE one RENAME c TO d"]
    rename = lambda _: one.sql(renames.pop()) if renames else None  # noqa: E731
    racing = replace(one.connections, silver=lambda: TracedConnection(one.account.connect(), before=rename))
    with pytest.raises(SchemaChanged, match="was starting"):
        open_window(one.pipeline, racing)
    one.sql("UPDATE one SET d = 'new' WHERE id = 1")
    one.run()
    assert_equal(one)


def test_an_older_batch_without_valid_rows_is_conformed_too(table):
    """Its only row is quarantined: its columns are brought into the new schema all the same."""
    one = table("b text, day date", ["'x', NULL", "'y', NULL", "'z', NULL"])
    old = staged(one, "UPDATE one SET day = 'infinity' WHERE id = 2")
    one.sql("ALTER TABLE one DROP b", "ALTER TABLE one ADD b int", "UPDATE one SET day = '2024-02-29' WHERE id = 2")
    one.run()
    assert replayed(one, old) == "applied"
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
