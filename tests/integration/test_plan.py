"""`plan` says what the next run would do, and changes nothing; real source, real sinks."""

from __future__ import annotations

import json
from dataclasses import replace

import psycopg
import pytest

from include.medallion.lake.object_store import filesystem
from include.medallion.onboarding.plan.gather import make_plan
from include.medallion.onboarding.plan.report import EXIT_CODES, Level
from include.medallion.onboarding.plan.text import lines
from tests.integration.fake_google import set_geocode
from tests.integration.one_table import OneTable

SOURCE = {"table": "one", "key": "id"}


@pytest.fixture
def one(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of three rows."""
    table = OneTable(bronze_dsn, lake_uri, lake, silver, SOURCE)
    table.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, v numeric(10, 2))",
        "INSERT INTO one VALUES (1, '98052', 1.5), (2, '98052', 2.5), (3, '10001', NULL)",
        "ANALYZE one",
    )
    return table


def plan(table):
    """Return the plan of a table's next run."""
    return make_plan(table.pipeline, table.connections, "connection bronze")


def left_behind(table):
    """Return everything that is in the lake, in Silver, and the source's next transaction id."""
    from pyarrow import fs  # noqa: PLC0415 (as the lake's)

    lake = table.connections.lake
    selector = fs.FileSelector(lake.path("").rstrip("/"), allow_not_found=True, recursive=True)
    files = [(file.path, file.mtime) for file in filesystem(lake).get_file_info(selector)]
    with table.account.connect() as connection:
        tables = connection.cursor().execute("SHOW TERSE TABLES").fetchall()
    return files, tables, table.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())")


def silver_columns(table):
    """Return names and types of Silver's columns."""
    with table.account.connect() as connection:
        return [row[:2] for row in connection.cursor().execute("DESCRIBE TABLE ONE").fetchall()]


def test_a_first_load_is_described_and_nothing_is_changed(one):
    """Size, rows, types, look-ups and DDL; no file, no table and no transaction is left."""
    before = left_behind(one)
    made = plan(one)
    assert left_behind(one) == before
    assert (made.gravest, EXIT_CODES[made.gravest]) == (Level.NOTE, 0)
    assert (made.source.kind, made.source.rows_to_read, made.source.chunks, made.source.parts) == ("table", 3, 1, 1)
    assert ("v", "numeric(10,2)", "decimal128(10, 2)", "NUMBER(10,2)") in [
        (c.name, c.source, c.gold, c.silver) for c in made.columns
    ]
    (lookup,) = made.lookups
    assert (lookup.keys, lookup.cached, lookup.missing, lookup.cost_usd) == (2, 0, 2, 0)
    assert lookup.statuses == {"OK": 1.0}
    assert {sink.holds for sink in made.sinks} == {"nothing"}
    # the statement is the one that the run executes
    (statement,) = next(sink.ddl for sink in made.sinks if sink.name == "silver")
    with one.account.connect() as connection:
        connection.cursor().execute(statement)
        planned = silver_columns(one)
        connection.cursor().execute("DROP TABLE ONE")
    one.run()
    assert silver_columns(one) == planned
    assert "result: ready: the next run would start" in list(lines(made))


def test_a_schema_change_and_a_window_are_described(one):
    """The rows of the window, the difference from each sink, and the statements that it leads to."""
    one.run()
    one.sql("ALTER TABLE one ADD COLUMN c text", "UPDATE one SET c = 'x' WHERE id = 2")
    before = left_behind(one)
    made = plan(one)
    assert left_behind(one) == before
    assert made.source.rows_to_read == 1
    by_name = {sink.name: sink for sink in made.sinks}
    (statement,) = by_name["silver"].ddl
    assert statement.startswith('ALTER TABLE "ONE" ADD COLUMN IF NOT EXISTS "C" VARCHAR')
    assert by_name["gold"].ddl == ["add to the Delta table: c string"]
    assert [change.split()[:2] for change in by_name["gold"].changes] == [["c", "added"]]
    assert made.lookups[0].keys == 1


def test_a_change_that_asks_first_is_an_approval(one):
    """Exit code 3, with the change; the plan still shows what it would mean."""
    one.run()
    one.set(on_schema_change="fail")
    one.sql("ALTER TABLE one ALTER v TYPE numeric(12, 4)")
    made = plan(one)
    assert EXIT_CODES[made.gravest] == 3
    assert any("approve_schema_change" in finding.message for finding in made.findings)
    assert all(sink.action == "the table is replaced" for sink in made.sinks)


def test_a_missing_right_is_refused_with_the_grant(one, bronze_dsn):
    """Exit code 1; what can be found out without the right is not guessed."""
    one.sql(
        "DROP ROLE IF EXISTS planner", "CREATE ROLE planner LOGIN PASSWORD 'p'", "GRANT SELECT (id) ON one TO planner"
    )
    role = psycopg.conninfo.make_conninfo(bronze_dsn, user="planner", password="p")
    parts = psycopg.conninfo.conninfo_to_dict(role)
    uri = f"postgresql://planner:p@{parts['host']}:{parts['port']}/{parts['dbname']}"
    one.connections = replace(one.connections, bronze=uri)
    made = plan(one)
    assert EXIT_CODES[made.gravest] == 1
    assert [finding.message for finding in made.findings if "GRANT SELECT" in finding.message]
    assert made.source is None


def test_a_server_that_is_down_is_worth_a_retry(one):
    """Exit code 75, as for every other command."""
    one.connections = replace(one.connections, bronze="postgresql://u:p@127.0.0.1:1/x")
    assert EXIT_CODES[plan(one).gravest] == 75


def test_a_metered_geocoder_is_priced_and_never_called(people, google):
    """Distinct keys times the price, without what is cached or free this month, and hours at the rate limit."""
    people.sql("INSERT INTO people (postcode) SELECT lpad(n::text, 5, '0') FROM generate_series(20001, 20003) AS n")
    people.run()
    asked = len(google.calls)
    set_geocode(people, calls_per_second=10, free_per_month=10_000)
    people.sql(
        "INSERT INTO people (postcode) SELECT lpad(n::text, 5, '0') FROM generate_series(20001, 32003) AS n", "ANALYZE"
    )
    (lookup,) = plan(people).lookups
    assert len(google.calls) == asked
    assert (lookup.keys, lookup.cached, lookup.missing, lookup.free_calls) == (12_003, 3, 12_000, 9_997)
    assert (lookup.cost_usd, lookup.hours) == (round(2_003 * 5 / 1000, 2), round(12_000 / 10 / 3600, 2))


def test_a_large_table_is_sampled(one, monkeypatch):
    """Above a limit the keys are estimated from blocks all over the table, as ANALYZE estimates distinct values."""
    monkeypatch.setattr("include.medallion.onboarding.plan.source.MAX_EXACT_ROWS", 10_000)
    monkeypatch.setattr("include.medallion.onboarding.plan.source.SAMPLED_ROWS", 8_000)
    one.sql("INSERT INTO one SELECT n, 10000 + n % 500, 1 FROM generate_series(4, 40000) AS n", "ANALYZE one")
    (lookup,) = plan(one).lookups
    assert not lookup.is_exact
    assert 450 <= lookup.keys <= 550


def test_the_command_prints_json_and_ends_with_the_code(one, tmp_path):
    """For a CI job: one JSON document on standard output, and the exit code of its result."""
    done = one.shell(tmp_path, "plan", "one", "--format", "json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["result"], document["exit_code"]) == (0, "note", 0)
    assert document["source"]["rows_to_read"] == 3
    one.sql("DROP TABLE one")
    refused = one.shell(tmp_path, "plan", "one")
    assert (refused.returncode, "does not exist or cannot be seen" in refused.stdout) == (1, True)
