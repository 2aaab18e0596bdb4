"""A Postgres cluster of a test's own: its settings, its transaction ids, its restarts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from include.sandbox import postgres as postgres_server
from include.sandbox.postgres import Postgres

QUIET = {"autovacuum": "off"}  # its transactions would come between those of a test
serial = count(1)


@dataclass
class Cluster:
    """A running cluster; `server` changes if it is started again on another port."""

    state: Path
    name: str
    server: Postgres

    def database(self) -> str:
        """Return the URI of an empty database."""
        name = f"scratch_{next(serial)}"
        postgres_server.create_database(self.server, name)
        return self.server.uri(name)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple]:
        """Run one statement in a transaction of its own."""
        with psycopg.connect(self.server.uri(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restart(self, *reset: str) -> None:
        """Stop and start the cluster; with arguments, let `pg_resetwal` change it meanwhile."""
        postgres_server.stop(self.state, self.name)
        if reset:
            program = postgres_server.binaries(self.state) / "pg_resetwal"
            data, account = postgres_server.data(self.state, self.name), postgres_server._account()
            identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
            subprocess.run([program, *reset, "-D", data], check=True, capture_output=True, cwd="/", **identity)
        self.server = postgres_server.start(self.state, self.name, durable=False)

    def freeze(self) -> None:
        """Freeze every row of every database, as autovacuum does in time."""
        self.sql("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
        for (database,) in self.sql("SELECT datname FROM pg_database"):
            self.sql("VACUUM FREEZE", database)


@contextmanager
def cluster(state: Path, name: str, **settings: str) -> Iterator[Cluster]:
    """Lend a cluster of its own with these settings."""
    lent = Cluster(state, name, postgres_server.start(state, name, durable=False))
    for setting, value in {**QUIET, **settings}.items():
        lent.sql(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(setting), value))
    lent.restart()
    yield lent
    postgres_server.stop(state, name)
