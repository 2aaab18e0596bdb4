"""Snowflake's stand-in, `fakesnow`, as a server for the unmodified connector and Airflow hook."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from include.sandbox import private, processes
from include.sandbox.processes import Daemon

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

NAME = "snowflake"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Snowflake:
    """The running account."""

    port: int
    password: str = field(repr=False)
    bundle: Path
    host: str = "127.0.0.1"
    user: str = "medallion"
    account: str = "sandbox"
    database: str = "MEDALLION"
    schema: str = "PUBLIC"
    warehouse: str = "MEDALLION"

    def airflow(self) -> str:
        """Return the Airflow connection, as the JSON that `AIRFLOW_CONN_*` takes."""
        extra = {
            "account": self.account,
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "warehouse": self.warehouse,
            # the stand-in has no such endpoint
            "session_parameters": {"CLIENT_TELEMETRY_ENABLED": False},
        }
        return json.dumps(
            {
                "conn_type": "snowflake",
                "login": self.user,
                "password": self.password,
                "schema": self.schema,
                "extra": extra,
            },
            separators=(",", ":"),
        )

    def connect(self, schema: str | None = None) -> SnowflakeConnection:
        """
        Open a connection that reports a dead server in seconds.

        `REQUESTS_CA_BUNDLE` must name our bundle, as `environment` has it.
        """
        import snowflake.connector

        return snowflake.connector.connect(
            user=self.user,
            password=self.password,
            account=self.account,
            host=self.host,
            port=self.port,
            database=self.database,
            schema=schema or self.schema,
            warehouse=self.warehouse,
            login_timeout=10,
            network_timeout=30,
            session_parameters={"CLIENT_TELEMETRY_ENABLED": False},
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs: our certificate authority, and no look for a cloud around it."""
        return {"REQUESTS_CA_BUNDLE": str(self.bundle), "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true"}


def start(state: Path) -> Snowflake:
    """Start the server and wait until it answers a query."""
    daemon = Daemon(state, NAME)
    alive = processes.running(daemon) is not None
    folder = (state / NAME).resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    account = Snowflake(
        port=private.port(state, NAME, busy_is_ours=alive),
        password=private.secret(state, NAME),
        bundle=folder / "ca-bundle.pem",
    )
    if not alive:
        made = certificate(folder / "server.pem", account.bundle, ["127.0.0.1", "localhost"])
        data, uploads = folder / "data", folder / "uploads"
        data.mkdir(exist_ok=True)
        # the server forgets its stages when it ends, and with them whose files these were
        shutil.rmtree(uploads, ignore_errors=True)
        uploads.mkdir()
        processes.spawn(
            daemon,
            [sys.executable, "-m", "include.sandbox.snowflake_server", data, str(account.port), made],
            env={**os.environ, **_secrets(folder, account), "TMPDIR": str(uploads)},
            cwd=ROOT,
        )
    processes.wait(daemon, lambda: _answer(account), seconds=90)
    return account


def stop(state: Path) -> None:
    """Stop the server; the tables stay."""
    processes.stop(Daemon(state, NAME))


def _secrets(folder: Path, account: Snowflake) -> dict[str, str]:
    """Tell the server by which password, or whose key, a client is known: `user.pub`, if somebody put one there."""
    return {
        "SANDBOX_SNOWFLAKE_PASSWORD": account.password,
        "SANDBOX_SNOWFLAKE_PUBLIC_KEY": str(folder / "user.pub"),
    }


def _answer(account: Snowflake) -> None:
    """Ask for a session as a client does; a missing password is refused, but by a server that is ready."""
    import requests

    url = f"https://{account.host}:{account.port}/session/v1/login-request"
    response = requests.post(url, json={"data": {}}, verify=account.bundle, timeout=5)
    response.raise_for_status()


def certificate(file: Path, bundle: Path, names: Sequence[str]) -> Path:
    """Return a server's key and certificate; on the first call make them, and the bundle that trusts them."""
    import certifi
    import trustme

    if not (file.exists() and bundle.exists()):
        authority = trustme.CA(organization_name="Medallion sandbox")
        issued = authority.issue_cert(*names)
        # a bundle that is already in force (of a company's proxy, say) stays so
        known = os.environ.get("REQUESTS_CA_BUNDLE", str(bundle))
        roots = Path(certifi.where() if known == str(bundle) else known).read_text()
        bundle.write_text(f"{roots}\n{authority.cert_pem.bytes().decode()}")
        private.write(
            file, "".join(part.bytes().decode() for part in (issued.private_key_pem, *issued.cert_chain_pems))
        )
    return file
