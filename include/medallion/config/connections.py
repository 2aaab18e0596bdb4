"""
Connections to source and sinks, from environment variables, for a shell without Airflow.

They are the variables that Airflow reads: `AIRFLOW_CONN_<ID>` (JSON or URI), `AWS_*`, and `AWS_URI`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from include.medallion.config.connection_info import ConnectionInfo, host_and_port, libpq_uri
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.lake.object_store import Lake, open_lake

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


@dataclass(frozen=True)
class Connections:
    """Connections to a pipeline's source and sinks."""

    bronze: str  # libpq URI
    silver: Callable[[], SnowflakeConnection]  # opens a connection
    lake: Lake
    environ: Mapping[str, str]  # has the API keys of providers
    password: Callable[[str], str | None] = lambda _: None  # of any other connection, by its id


def open_connections(pipeline: Pipeline, environ: Mapping[str, str]) -> Connections:
    """
    Return the connections to a pipeline's source and sinks.

    Args:
        environ: environment variables.

    Raises:
        SettingError: a variable that the pipeline needs is missing or malformed; the message names it.
    """
    bronze = read_connection(pipeline.source.connection, environ)
    return Connections(
        libpq_uri(bronze),
        _silver(pipeline, environ),
        lake_from_environment(environ),
        environ,
        lambda conn_id: read_connection(conn_id, environ).password,
    )


def _silver(pipeline: Pipeline, environ: Mapping[str, str]) -> Callable[[], SnowflakeConnection]:
    """Return a function that opens the Snowflake connection; without `silver`, it raises SettingError."""
    if pipeline.silver is None:
        return partial(refuse_silver, pipeline.name)
    return partial(connect_snowflake, read_connection(pipeline.silver.connection, environ))


def refuse_silver(pipeline: str) -> NoReturn:
    """Raise SettingError: the pipeline, given by its name, has no `silver`."""
    raise SettingError(f"pipeline {pipeline} has no silver: add it to the pipeline file")


def read_connection(conn_id: str, environ: Mapping[str, str]) -> ConnectionInfo:
    """
    Read a connection from the environment variable `AIRFLOW_CONN_<ID>`.

    Args:
        conn_id: the connection's id, in lower or upper case.
        environ: environment variables.

    Raises:
        SettingError: the variable is unset, or neither JSON nor a URI.
    """
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environ.get(name, "")
    if not text:
        raise SettingError(f"{name} is not set: give the connection as JSON or URI, as Airflow takes it")
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, TypeError):
        raise SettingError(
            f"{name} is neither JSON nor a URI: in a URI, write special characters of login and password as %XX, "
            "e.g. # as %23"
        ) from None


def connect_snowflake(info: ConnectionInfo) -> SnowflakeConnection:
    """
    Open a Snowflake connection.

    Args:
        info: with a password, or with a key pair in the extras that Airflow's hook uses (`private_key_content` or
            `private_key_file`; the password is then its passphrase).

    Raises:
        snowflake.connector.Error: the login was refused, or Snowflake cannot be reached.
    """
    import snowflake.connector

    extras = {k: v for k, v in info.extra.items() if v not in (None, "")}
    if content := extras.pop("private_key_content", None):
        extras["private_key"] = _private_key(str(content), info.password)
    elif "private_key_file" in extras and info.password:
        extras["private_key_file_pwd"] = info.password
    # a column "FirstName" would be created as FIRSTNAME, and COPY, which matches names by case, would leave it NULL
    given = extras.get("session_parameters")
    exact = {"QUOTED_IDENTIFIERS_IGNORE_CASE": False}
    extras["session_parameters"] = exact | (given if isinstance(given, dict) else {})
    return snowflake.connector.connect(
        user=info.login, password=info.password, schema=info.schema, login_timeout=60, network_timeout=600, **extras
    )


def _private_key(content: str, passphrase: str | None) -> bytes:
    """Convert a PEM key, plain or as base64 in one line, to DER for the connector."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (few logins need it)

    pem = content.encode() if content.startswith("-----") else base64.b64decode(content)
    key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    encoding, format_ = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, format_, serialization.NoEncryption())


def lake_from_environment(environ: Mapping[str, str]) -> Lake:
    """
    Return the lake at `AWS_URI`, with the other `AWS_*` variables as options.

    Raises:
        SettingError: AWS_URI is missing or malformed.
    """
    options = {k: v for k, v in environ.items() if k.startswith("AWS_") and k not in {"AWS_URI", "AWS_PROFILE"}}
    return open_lake(environ.get("AWS_URI"), options)


def _from_json(text: str) -> ConnectionInfo:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    host, port, login, password, schema = map(fields.get, ("host", "port", "login", "password", "schema"))
    extras = json.loads(extra) if isinstance(extra, str) else extra
    return ConnectionInfo(host, int(port) if port else None, login, password, schema, extras)


def _from_uri(text: str) -> ConnectionInfo:
    """Read a URI as Airflow does, and lists of hosts with ports besides."""
    parts = urlsplit(text)
    if not parts.scheme or parts.fragment:
        raise ValueError
    extra: dict[str, object] = dict(parse_qsl(parts.query))
    extra |= json.loads(str(extra.pop("__extra__", "{}")))
    credentials, _, hosts = parts.netloc.rpartition("@")
    login, colon, password = credentials.partition(":")
    host, port = _single_port(hosts)
    schema = unquote(parts.path.lstrip("/")) or None
    return ConnectionInfo(
        host, port, unquote(login) or None, unquote(password) if colon else None, schema=schema, extra=extra
    )


def _single_port(hosts: str) -> tuple[str | None, int | None]:
    """Split the port off a single host; of several, each keeps its own."""
    if "," in hosts:
        return unquote(hosts), None
    host, port = host_and_port(hosts, "")
    return unquote(host) or None, int(port) if port else None
