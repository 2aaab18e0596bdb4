"""Every way to name a Postgres server works; what it refuses or breaks off is explained, with the connection's name."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import closing, suppress
from urllib.parse import quote

import medallion_connections
import psycopg
import pyarrow as pa
import pytest
from adbc_driver_manager import AdbcStatement

from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.postgres import failures
from include.medallion.config import connections as connection_settings
from include.medallion.config.connection_info import libpq_uri
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError, Transient
from include.sandbox import private
from tests.integration.servers import server
from tests.unit.test_runbook import has_row

KEEPALIVE = ("KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT")
HOSTILE = "p@ss:/?#[]%&+ wörd'\"\\"


@pytest.fixture(scope="module")
def own(sandbox_state):
    """Start a server with a role whose password and database need quoting everywhere."""
    with server(sandbox_state, max_connections="12") as started:
        quoted = HOSTILE.replace("'", "''")
        started.sql(f"CREATE ROLE \"us:er@x\" LOGIN PASSWORD E'{quoted.replace(chr(92), chr(92) * 2)}'")
        started.sql('CREATE DATABASE "da/ta?b"')
        yield started


def read_settings(text, how, monkeypatch):
    """Return the libpq URI that a shell, or a task, makes of a connection."""
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", text)
    if how == "airflow":
        return medallion_connections.bronze("source")
    return libpq_uri(connection_settings.read_connection("source", os.environ))


def version(uri):
    """Connect; return what the server says."""
    with bronze_connection.connect(uri, "source") as connection:
        return bronze_connection.fetch_rows(connection, "version")[0]["version"]


@pytest.mark.parametrize("how", ["shell", "airflow"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_host_in_a_uri(own, monkeypatch, how, host):
    """Names, IPv4 and IPv6 addresses, as every URI has them."""
    uri = f"postgres://postgres:{own.postgres.password}@{host}:{own.postgres.port}/postgres"
    assert version(read_settings(uri, how, monkeypatch)) > 130_000


@pytest.mark.parametrize("how", ["shell", "airflow"])
def test_a_socket_folder_in_a_uri(own, monkeypatch, how):
    """A percent-encoded folder is a host, as libpq has it."""
    uri = f"postgres://postgres:{own.postgres.password}@{quote(str(own.place), safe='')}:{own.postgres.port}/postgres"
    assert version(read_settings(uri, how, monkeypatch)) > 130_000


@pytest.mark.parametrize("how", ["shell", "airflow"])
@pytest.mark.parametrize(
    "host", ["::1", "[::1]", "{place}", "{closed},127.0.0.1:{port}", "nohost.invalid,::1", "127.0.0.1, ::1"]
)
def test_a_host_in_json(own, sandbox_state, monkeypatch, how, host):
    """An address without brackets, a folder, and lists, of which libpq takes the first that answers."""
    closed = f"127.0.0.1:{private.port(sandbox_state, 'nobody')}"
    given = host.format(place=own.place, closed=closed, port=own.postgres.port)
    account = {"host": given, "port": own.postgres.port, "login": "postgres", "password": own.postgres.password}
    text = json.dumps({"conn_type": "postgres", "schema": "postgres", **account})
    assert version(read_settings(text, how, monkeypatch)) > 130_000


def test_a_list_of_hosts_with_ports_in_a_uri(own, sandbox_state, monkeypatch):
    """As libpq writes it; Airflow's own parser knows no lists with ports."""
    closed = private.port(sandbox_state, "nobody")
    hosts = f"127.0.0.1:{closed},[::1]:{own.postgres.port}"
    uri = f"postgres://postgres:{own.postgres.password}@{hosts}/postgres"
    assert version(read_settings(uri, "shell", monkeypatch)) > 130_000


@pytest.mark.parametrize("how", ["shell", "airflow"])
@pytest.mark.parametrize("form", ["json", "uri"])
def test_special_characters_anywhere(own, monkeypatch, how, form):
    """Login, password and database may hold every character that has a meaning in a URI."""
    login, database = "us:er@x", "da/ta?b"
    text = json.dumps(
        {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": own.postgres.port,
            "login": login,
            "password": HOSTILE,
            "schema": database,
        }
    )
    if form == "uri":
        safe = [quote(part, safe="") for part in (login, HOSTILE, database)]
        text = f"postgres://{safe[0]}:{safe[1]}@127.0.0.1:{own.postgres.port}/{safe[2]}"
    assert version(read_settings(text, how, monkeypatch)) > 130_000


def test_a_uri_whose_password_is_not_encoded_says_so(monkeypatch):
    """A bare # would cut the URI; the message never repeats it."""
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", "postgres://u:se#cret@h/db")
    with pytest.raises(SettingError, match="%23") as refused:
        connection_settings.read_connection("source", os.environ)
    assert "cret" not in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
@pytest.mark.parametrize(("extra", "seconds"), [({}, 30), ({"keepalives_idle": "7"}, 7)])
def test_a_server_that_vanishes_is_noticed(own, monkeypatch, extra, seconds):
    """The kernel asks the server whether it is there, and gives it up a minute later; an extra says when to ask."""
    place = {"host": "127.0.0.1", "port": own.postgres.port, "login": "postgres", "password": own.postgres.password}
    uri = read_settings(json.dumps({"conn_type": "postgres", **place, "extra": extra}), "shell", monkeypatch)
    with (
        psycopg.connect(uri, dbname="postgres") as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as tcp,
    ):
        options = [tcp.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}")) for name in KEEPALIVE]
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert options == [seconds, 10, 3, 60_000]


def test_a_missing_connection_is_refused_by_name(monkeypatch):
    """At once, whether it is the source's or Silver's; nothing redacts the name."""
    monkeypatch.delenv("AIRFLOW_CONN_NORTHWIND", raising=False)
    monkeypatch.setenv("AWS_URI", "s3://lake")
    for sink in ({"gold": {"table": "t"}}, {"silver": {"table": "T", "connection": "northwind"}}):
        source = {"table": "t", "key": "id", "connection": "northwind"}
        with pytest.raises(SettingError, match="Airflow has no connection northwind: add it"):
            medallion_connections.connect(Pipeline.model_validate({"name": "one", "source": source, **sink}))


def test_a_pipeline_without_silver_needs_no_connection_of_it(own, monkeypatch):
    """In a shell, as in a task."""
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", own.uri())
    monkeypatch.setenv("AWS_URI", "s3://lake")
    monkeypatch.delenv("AIRFLOW_CONN_SILVER", raising=False)
    source = {"table": "t", "key": "id", "connection": "source"}
    pipeline = Pipeline.model_validate({"name": "one", "source": source, "gold": {"table": "t"}})
    for opened in (connection_settings.open_connections(pipeline, os.environ), medallion_connections.connect(pipeline)):
        with pytest.raises(SettingError, match="pipeline one has no silver"):
            opened.silver()


@pytest.mark.parametrize(("change", "problem"), [("password", "refused the login"), ("port", "cannot be reached")])
def test_messages_name_the_connection(own, sandbox_state, change, problem):
    """Not `bronze`, if the pipeline names another."""
    wrong = {"password": "no", "port": str(private.port(sandbox_state, "nobody"))}[change]
    uri = own.uri().replace(str(getattr(own.postgres, change)), wrong)
    with pytest.raises((SettingError, Transient), match=problem) as refused, bronze_connection.connect(uri, "aw"):
        pass
    assert "`aw`" in str(refused.value)


def test_an_old_server_is_refused_by_its_version():
    """What is asked of the server came with version 13 (no older one can be installed to try)."""
    with pytest.raises(SettingError, match=r"connection `aw` is PostgreSQL 12, .* needs 13 or newer"):
        bronze_connection._check_version("aw", 120_022)
    bronze_connection._check_version("aw", 130_000)


def stream(uri, meanwhile=lambda: None):
    """Read many rows slowly, and let something happen after the first batch."""
    with bronze_connection.connect(uri, "source") as connection, closing(AdbcStatement(connection)) as statement:
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": "65536"})
        statement.set_sql_query("SELECT n, repeat('x', 900) FROM generate_series(1, 400000) AS n")
        handle, _ = statement.execute_query()
        reader = pa.RecordBatchReader._import_from_c(handle.address)
        reader.read_next_batch()
        meanwhile()
        for _ in reader:
            pass


def ask(uri, statement, before=lambda: None):
    """Run one statement on a connection to which something happened."""
    with bronze_connection.connect(uri, "source") as connection:
        before()
        bronze_connection.execute(connection, statement)


def test_a_statement_timeout_while_rows_are_streamed(own):
    """The driver gives no code then, only words."""
    with pytest.raises(Transient, match=r"source` took longer than statement_timeout"):
        stream(f"{own.uri()}?options=-cstatement_timeout%3D50", lambda: time.sleep(0.1))


def test_a_session_that_an_administrator_ends(own):
    """While rows are streamed, and between statements."""
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
    )
    with pytest.raises(Transient, match=r"`source`"):
        stream(own.uri(), lambda: own.sql(end))
    with pytest.raises(Transient, match=r"`source` was stopped"):
        ask(own.uri(), "SELECT 1", before=lambda: own.sql(end))


def test_a_read_that_an_administrator_cancels(own):
    """`pg_cancel_backend` is no timeout."""
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%400000%'"
    with pytest.raises(Transient, match=r"an administrator cancelled a read of connection `source`"):
        stream(own.uri(), lambda: own.sql(cancel))


def test_a_lock_timeout(own):
    """Somebody alters the table."""
    own.sql("CREATE TABLE IF NOT EXISTS locked (id int)")
    with psycopg.connect(own.uri()) as holder:
        holder.execute("LOCK TABLE locked")
        with pytest.raises(Transient, match=r"`source` waited longer than lock_timeout"):
            ask(f"{own.uri()}?options=-clock_timeout%3D20", "SELECT FROM locked")


def test_an_idle_transaction_that_is_ended(own):
    """The limit of the role, or of the server."""
    uri = f"{own.uri()}?options=-cidle_in_transaction_session_timeout%3D20"
    with pytest.raises(Transient, match=r"`source`.*idle_in_transaction_session_timeout"):
        ask(uri, "SELECT 1", before=lambda: own.sql("SELECT pg_sleep(0.2)"))


def connect_until_refused(uri):
    """Take every free slot."""
    with suppress(psycopg.OperationalError):
        while True:
            yield psycopg.connect(uri)


def test_too_many_connections(own):
    """Of the server, and of the role."""
    own.sql("DROP ROLE IF EXISTS few", "CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
    uri = own.uri().replace(f"postgres:{own.postgres.password}", "few:few")
    with pytest.raises(Transient, match=r"no free slot for connection `source`"):
        version(uri)
    taken = list(connect_until_refused(own.uri()))
    with pytest.raises(Transient, match=r"no free slot for connection `source`"):
        version(own.uri())
    for connection in taken:
        connection.close()


@pytest.mark.parametrize(
    ("sqlstate", "text", "words"),
    [
        (None, "FATAL:  the database system is starting up", "starting up or shutting down"),
        (None, "FATAL:  the database system is shutting down", "starting up or shutting down"),
        ("57P03", "FATAL:  das Datenbanksystem wird gestartet", "starting up or shutting down"),
        ("40001", "ERROR:  canceling statement due to conflict with recovery", "conflicts with recovery"),
        ("08006", "irgendetwas", "to Postgres broke"),
        ("53100", "ERROR:  could not extend file: No space left on device", "out of disk"),
    ],
)
def test_what_a_server_rarely_says_is_known_too(sqlstate, text, words):
    """By its code in any language, or by its words."""
    assert words in str(failures.read_failure("aw", sqlstate, text))


def test_every_reported_condition_has_a_row_in_the_runbook():
    """The messages are put together from a table, which the search for raised messages does not see."""
    messages = [condition.message.format(name="x") for condition in failures._CONDITIONS]
    assert [message for message in messages if not has_row(message)] == []


def test_an_unknown_error_stays_what_it_is():
    """A syntax error is ours: nothing to wait for."""
    assert failures.read_failure("aw", "42601", "ERROR:  syntax error") is None
