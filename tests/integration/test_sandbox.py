"""The sandbox's servers behave like what they stand for."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import boto3
import psutil
import psycopg
import pytest
from botocore.exceptions import ClientError

from include.sandbox import postgres as postgres_server
from include.sandbox import private, processes, snowflake
from include.sandbox.errors import SandboxError
from include.sandbox.processes import Daemon


def test_postgres_runs_unprivileged(postgres, sandbox_state):
    """Postgres runs as an ordinary user even when root starts the sandbox."""
    assert processes.running(Daemon(sandbox_state, "postgres-tests")).uids().real != 0


def test_postgres_asks_for_the_password(postgres):
    """Another user of the machine cannot log in to the cluster."""
    stranger = postgres.dsn("postgres").replace(postgres.password, "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stranger)


def test_postgres_can_replicate_logically(postgres, bronze_dsn):
    """The cluster is ready for a replication slot, and `make status` shows what it keeps."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
        connection.execute("SELECT pg_create_logical_replication_slot('shown', 'pgoutput')")
        assert postgres_server.kept_by_slots(postgres)["shown"] > 0
        connection.execute("SELECT pg_drop_replication_slot('shown')")


def test_postgres_keeps_data_over_kill(tmp_path):
    """A killed cluster starts again with what was committed."""
    server = postgres_server.start(tmp_path, "killed")
    with psycopg.connect(server.dsn("postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        connection.execute("CHECKPOINT")
    processes.stop(Daemon(tmp_path, "postgres-killed"), politely=signal.SIGKILL)
    postgres_server.start(tmp_path, "killed")
    with psycopg.connect(server.dsn("postgres")) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    postgres_server.stop(tmp_path, "killed")
    postgres_server.discard(tmp_path)


def test_s3_refuses_to_overwrite_a_conditional_put(lake):
    """`If-None-Match: *` never replaces an object: what Delta's commits rest on."""
    lake.client().put_object(Bucket=lake.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        lake.client().put_object(Bucket=lake.bucket, Key="once", Body=b"2", IfNoneMatch="*")


def test_s3_checks_credentials(lake):
    """A wrong secret key is refused."""
    client = boto3.client(
        "s3",
        endpoint_url=lake.endpoint,
        region_name="us-east-1",
        aws_access_key_id=lake.access_key,
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.list_buckets()


@pytest.mark.parametrize("kind", ["TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"])
def test_snowflake_returns_null_timestamps_as_null(silver, kind):
    """A missing timestamp is not the first of January 1970."""
    with silver.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t (seen {kind})")
        cursor.execute("INSERT INTO t VALUES (NULL), ('2020-02-03 04:05:06')")
        rows = cursor.execute("SELECT seen FROM t").fetchall()
    assert sorted(seen.year if seen else 0 for (seen,) in rows) == [0, 2020]


def test_snowflake_reports_a_breach_at_once_and_why(silver):
    """A failed statement is an SQL error with its reason, not a server error that the client retries."""
    from snowflake.connector.errors import ProgrammingError

    with silver.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ProgrammingError, match="uplicate key"):
            cursor.execute("INSERT INTO t VALUES (1)")


def test_snowflake_checks_the_password(silver):
    """Another user of the machine cannot log in."""
    from snowflake.connector.errors import DatabaseError

    with pytest.raises(DatabaseError, match="Incorrect username or password"):
        replace(silver, password="guess").connect()


def test_snowflake_serves_the_unmodified_hook(silver, monkeypatch):
    """Airflow's own hook works with the connection as the sandbox writes it."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook  # noqa: PLC0415 (slow)

    monkeypatch.setenv("AIRFLOW_CONN_SILVER", silver.airflow())
    rows = SnowflakeHook("silver").get_records("SELECT current_database(), current_schema()")
    assert rows == [("MEDALLION", silver.schema)]


def test_snowflake_keeps_data_over_kill(tmp_path, monkeypatch):
    """A killed server starts again with what was committed."""
    account = snowflake.start(tmp_path)
    for key, value in account.environment.items():
        monkeypatch.setenv(key, value)
    with account.connect() as connection:
        connection.cursor().execute("CREATE TABLE kept AS SELECT 1 AS one")
    processes.stop(Daemon(tmp_path, "snowflake"), politely=signal.SIGKILL)
    with snowflake.start(tmp_path).connect() as connection:
        assert connection.cursor().execute("SELECT one FROM kept").fetchall() == [(1,)]
    snowflake.stop(tmp_path)


def test_another_programs_pid_is_not_ours(tmp_path):
    """A pid that was given to another program since is not taken for the server, nor stopped."""
    daemon = Daemon(tmp_path, "gone")
    daemon.pid_file.parent.mkdir()
    private.write(daemon.pid_file, f'{{"pid": {os.getpid()}, "started": {psutil.boot_time() - 100}}}')
    processes.stop(daemon)
    assert processes.running(daemon) is None


def test_a_server_that_ends_shows_its_log(tmp_path):
    """A start that fails says so at once, with the log's end."""
    daemon = Daemon(tmp_path, "broken")
    processes.spawn(daemon, ["sh", "-c", "echo no such luck; exit 1"])
    with pytest.raises(SandboxError, match="no such luck"):
        processes.wait(daemon, lambda: 1 / 0, seconds=30)


def test_ports_are_remembered(tmp_path):
    """A sandbox keeps its ports from one start to the next."""
    assert private.port(tmp_path, "a") == private.port(tmp_path, "a") != private.port(tmp_path, "b")
