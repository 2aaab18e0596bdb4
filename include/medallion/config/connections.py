"""
Source and sinks as the environment describes them, for a shell without Airflow.

The same variables that Airflow reads: `AIRFLOW_CONN_<ID>` (JSON or URI),
`AWS_*`, `AWS_URI`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from cryptography.hazmat.primitives import serialization

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.lake.object_store import Lake, open_lake

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

SECONDS_TO_CONNECT = 30
_LIBPQ = frozenset(
    [
        *("application_name", "channel_binding", "connect_timeout", "gssencmode", "keepalives", "keepalives_count"),
        *("keepalives_idle", "keepalives_interval", "options", "require_auth", "sslcert", "sslcrl", "sslkey"),
        *("sslmode", "sslrootcert", "target_session_attrs", "tcp_user_timeout"),
    ]
)


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection's parts, as Airflow names them."""

    host: str | None
    port: int | None
    login: str | None
    password: str | None = field(repr=False)
    schema: str | None
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Connections:
    """How to reach source and sinks."""

    bronze: str  # libpq URI
    silver: Callable[[], SnowflakeConnection]  # opens a connection
    lake: Lake
    environ: Mapping[str, str]  # where a provider finds its key


def open_connections(pipeline: Pipeline, environ: Mapping[str, str]) -> Connections:
    """
    Return how to reach a pipeline's source and sinks.

    Raises:
        SettingError: a variable is missing or cannot be read; it is named.
    """
    bronze, silver = (read_connection(c, environ) for c in (pipeline.source.connection, pipeline.silver.connection))
    return Connections(libpq_uri(bronze), lambda: connect_snowflake(silver), lake_from_environment(environ), environ)


def read_connection(conn_id: str, environ: Mapping[str, str]) -> ConnectionInfo:
    """
    Read `AIRFLOW_CONN_<ID>`.

    Raises:
        SettingError: it is unset, or neither JSON nor a URI.
    """
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environ.get(name, "")
    if not text:
        raise SettingError(f"{name} is not set: give the connection as JSON or URI, as Airflow takes it")
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, TypeError):
        raise SettingError(f"{name} is neither JSON nor a URI") from None


def libpq_uri(given: ConnectionInfo) -> str:
    """Return a Postgres account as libpq takes it, with the extras that libpq knows."""
    login, password, database = (quote(part or "", safe="") for part in (given.login, given.password, given.schema))
    extras = {"connect_timeout": SECONDS_TO_CONNECT, **{k: v for k, v in given.extra.items() if k in _LIBPQ}}
    credentials, host = f"{login}:{password}" if password else login, f"{given.host or ''}:{given.port or 5432}"
    return f"postgresql://{credentials}@{host}/{database}?{urlencode(extras, quote_via=quote)}"


def connect_snowflake(given: ConnectionInfo) -> SnowflakeConnection:
    """Open a Snowflake connection: by password, or by a key pair as Airflow's extras name it."""
    import snowflake.connector

    known = {k: v for k, v in given.extra.items() if v not in (None, "")}
    if content := known.pop("private_key_content", None):
        known["private_key"] = _private_key(str(content), given.password)
    elif "private_key_file" in known and given.password:
        known["private_key_file_pwd"] = given.password
    return snowflake.connector.connect(
        user=given.login, password=given.password, schema=given.schema, login_timeout=60, network_timeout=600, **known
    )


def _private_key(content: str, passphrase: str | None) -> bytes:
    """Return a PEM key (as it is, or in base64, as one line) as the connector takes it."""
    pem = content.encode() if content.startswith("-----") else base64.b64decode(content)
    key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    kinds = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*kinds)


def lake_from_environment(environ: Mapping[str, str]) -> Lake:
    """
    Return the lake at `AWS_URI`, reached by the other `AWS_*` variables.

    Raises:
        SettingError: AWS_URI is missing or wrong.
    """
    options = {k: v for k, v in environ.items() if k.startswith("AWS_") and k not in {"AWS_URI", "AWS_PROFILE"}}
    return open_lake(environ.get("AWS_URI"), options)


def _from_json(text: str) -> ConnectionInfo:
    given = json.loads(text)
    extra = given.get("extra") or {}
    parts = (given.get(name) for name in ("host", "port", "login", "password", "schema"))
    return ConnectionInfo(*parts, json.loads(extra) if isinstance(extra, str) else extra)


def _from_uri(text: str) -> ConnectionInfo:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError
    extra = dict(parse_qsl(parts.query))
    extra |= json.loads(extra.pop("__extra__", "{}"))
    login, password = (unquote(p) if p else None for p in (parts.username, parts.password))
    return ConnectionInfo(parts.hostname, parts.port, login, password, unquote(parts.path.lstrip("/")) or None, extra)
