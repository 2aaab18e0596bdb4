"""The role that deploy/sql/bronze_role.sql makes reads its table and can write nothing, whatever it tries."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from include.medallion.errors import SettingError
from include.medallion.model.log_range import slot_name
from tests.integration.one_table import OneTable
from tests.integration.servers import psql, server

SCRIPT = Path(__file__).parents[2] / "deploy" / "sql" / "bronze_role.sql"
LOG_SCRIPT = SCRIPT.with_name("bronze_log_role.sql")
PASSWORD = "of-the-role"
WRITES = [
    "CREATE TEMP TABLE mine (id int)",
    "CREATE TABLE mine (id int)",
    "CREATE TABLE people_copy AS SELECT * FROM people",
    "SELECT * INTO TEMP mine FROM people",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_unlink(1)",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT write_by_owner()",
    "CALL write_by_owner_procedure()",
    "SELECT nextval('numbers')",
    "INSERT INTO people VALUES (99)",
    "UPDATE people SET name = ''",
    "TRUNCATE people",
    "SELECT * FROM people FOR UPDATE",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "COPY people TO '/tmp/people'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SET ROLE postgres",
    "SELECT * FROM secrets",
]


@pytest.fixture(scope="module")
def source(sandbox_state):
    """Make a database with a table, a function of its owner, another role, and another database; run the script."""
    with server(sandbox_state) as started:
        started.sql("CREATE ROLE clerk LOGIN PASSWORD 'clerk'", "CREATE DATABASE source", "CREATE DATABASE another")
        started.sql(
            "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)",
            "INSERT INTO people SELECT n, 'name ' || n, '98052' FROM generate_series(1, 9) AS n",
            "CREATE TABLE secrets (id int)",
            "CREATE SEQUENCE numbers",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",  # as before PostgreSQL 15
            "CREATE FUNCTION write_by_owner() RETURNS int LANGUAGE sql SECURITY DEFINER "
            "AS 'INSERT INTO secrets VALUES (1) RETURNING 1'",
            "CREATE PROCEDURE write_by_owner_procedure() LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM secrets'",
            "CREATE FUNCTION harmless() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            database="source",
        )
        words = {"password": PASSWORD, "database": "source", "schema": "public", "table": "people"}
        given = [part for name, value in words.items() for part in ("-v", f"{name}={value}")]
        done = psql(started, "source", *given, "-f", SCRIPT)
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr
        assert "(0 rows)" in done.stdout, done.stdout
        yield started


def uri(source, role, password, database="source"):
    """Return a role's way to a database."""
    return f"postgresql://{role}:{password}@{source.postgres.host}:{source.postgres.port}/{database}"


@pytest.mark.parametrize("statement", WRITES)
def test_the_role_writes_nothing(source, statement):
    """Not even once it has turned its own read-only default off."""
    with psycopg.connect(uri(source, "medallion", PASSWORD), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("database", ["another", "postgres", "template1"])
def test_the_role_reaches_no_other_database(source, database):
    """There it could make temporary tables and large objects."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(uri(source, "medallion", PASSWORD, database))


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        ("source", "CREATE TEMP TABLE mine (id int)"),
        ("source", "SELECT lo_unlink(lo_create(0))"),
        ("source", "SELECT write_by_owner()"),
        ("source", "CREATE TABLE of_the_clerk (id int)"),
        ("another", "CREATE TEMP TABLE mine (id int)"),
        ("postgres", "SELECT 1"),
    ],
)
def test_other_roles_keep_what_they_may(source, database, statement):
    """What PUBLIC loses, the roles that exist are granted."""
    with psycopg.connect(uri(source, "clerk", "clerk", database)) as connection:
        connection.execute(statement)
        connection.rollback()


def test_the_role_runs_a_pipeline(source, lake_uri, lake, silver):
    """A window, a trial and a full refresh need no more than SELECT."""
    limited = uri(source, "medallion", PASSWORD)
    people = OneTable(limited, lake_uri, lake, silver, {"table": "people", "key": "id"})
    assert people.run().read == 9
    assert people.run() is None


def test_the_role_reads_the_log_once_it_may(source, lake_uri, lake):
    """Without the right, and without a publication, a run says what is missing; with bronze_log_role.sql it runs."""
    limited = uri(source, "medallion", PASSWORD)
    people = OneTable(limited, lake_uri, lake, NoSilver, {"table": "people", "key": "id", "read": "log"})
    people.set(enrich=[], silver=None)
    with pytest.raises(SettingError, match="CREATE PUBLICATION"):
        people.begin()
    source.sql("CREATE PUBLICATION medallion_people FOR TABLE people", database="source")
    with pytest.raises(SettingError, match=r"bronze_log_role\.sql"):
        people.begin()
    for _ in range(2):  # safe to run again
        done = psql(source, "source", "-v", "table=people", "-v", "schema=public", "-f", LOG_SCRIPT)
        assert done.returncode == 0, done.stderr
    assert people.run().read == 9
    source.sql("DELETE FROM people WHERE id = 1", "UPDATE people SET id = 20 WHERE id = 2", database="source")
    summary = people.run()
    assert (summary.read, summary.gone, summary.notes) == (1, 2, ())
    slot = slot_name("one", people.connections.lake.root)
    (kept,) = source.sql(f"SELECT failover, database FROM pg_replication_slots WHERE slot_name = '{slot}'")
    assert kept == (True, "source")


class NoSilver:
    """An account that nobody asks."""

    connect = None
