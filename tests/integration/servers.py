"""Postgres servers with options of a test's own, and standbys of them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from include.sandbox import postgres as postgres_server
from include.sandbox import private, processes
from include.sandbox.postgres import Postgres
from include.sandbox.processes import Account, Daemon

serial = count(1)


@dataclass(frozen=True)
class Server:
    """A running server: where its data and its socket are."""

    state: Path
    place: Path
    account: Account | None
    name: str
    postgres: Postgres

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.place / self.name

    def uri(self, database: str = "postgres") -> str:
        """Return the way to a database, as the superuser."""
        return self.postgres.uri(database)

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple]:
        """Run statements, each in a transaction of its own; return the rows of the last."""
        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def follow(self, primary: Server) -> None:
        """Wait until this standby has replayed all that its primary has logged."""
        logged = primary.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        primary.sql("SELECT pg_switch_wal()")
        self.wait(f"pg_last_wal_replay_lsn() >= '{logged}'")

    def cut_off(self) -> None:
        """Let this standby receive nothing more: what its primary commits from now on is lost by a promotion."""
        self.sql("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        self.wait("NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")

    def promote(self) -> None:
        """Make this standby a primary, on a timeline of its own."""
        assert self.sql("SELECT pg_promote()") == [(True,)]

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until a condition holds here."""
        deadline = time.monotonic() + seconds
        while not self.sql(f"SELECT {condition}")[0][0]:
            assert time.monotonic() < deadline, f"not so after {seconds} s: {condition}"
            time.sleep(0.01)


@contextmanager
def server(state: Path, **options: str) -> Iterator[Server]:
    """Lend an empty server with these settings; it also listens on ::1, and on a socket in its own folder."""
    account = postgres_server._account()
    place = postgres_server._place(state, account)
    name = f"own-{next(serial)}"
    programs = postgres_server.binaries(state)
    password = private.secret(state, "postgres")
    postgres_server._create(place / name, programs, password, account)
    with _started(state, place, account, name, options) as started:
        yield started


@contextmanager
def standby(primary: Server, slot: str | None = None, **options: str) -> Iterator[Server]:
    """Lend a streaming standby of a server; with a physical slot of this name, which it creates there."""
    state, name = primary.state, f"standby-{next(serial)}"
    program, data = postgres_server.binaries(state) / "pg_basebackup", primary.place / name
    command = [program, "-d", primary.uri(), "-D", data, "-R", "-c", "fast", "--no-sync"]
    command += ["-C", "-S", slot] if slot else []
    done = postgres_server._run(command, primary.account, Path("/"))
    assert done.returncode == 0, done.stdout
    with _started(state, primary.place, primary.account, name, options) as started:
        yield started


@contextmanager
def _started(state: Path, place: Path, account: Account | None, name: str, options: dict[str, str]) -> Iterator[Server]:
    daemon = Daemon(state, name)
    password = private.secret(state, "postgres")
    postgres = Postgres("127.0.0.1", private.port(state, name), "postgres", password)
    given = {"listen_addresses": "127.0.0.1,::1", "unix_socket_directories": str(place), **options}
    more = [part for key, value in given.items() for part in ("-c", f"{key}={value}")]
    programs = postgres_server.binaries(state)
    command = [programs / "postgres", "-D", place / name, *postgres_server._options(postgres, durable=False), *more]
    processes.spawn(daemon, command, env=postgres_server.ENVIRONMENT, cwd=place, account=account)
    processes.wait(daemon, lambda: postgres_server._answer(postgres), seconds=60, every=0.05)
    try:
        yield Server(state, place, account, name, postgres)
    finally:
        processes.stop(daemon, politely=signal.SIGINT)  # with its transactions rolled back


def psql(owner: Server, database: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run psql as the superuser."""
    program = postgres_server.binaries(owner.state) / "psql"
    command = [program, "-v", "ON_ERROR_STOP=1", "-d", owner.uri(database), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)
