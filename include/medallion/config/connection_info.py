"""A connection as Airflow describes it, and as libpq takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

DEFAULT_PORT = 5432
_PATIENCE: Mapping[str, object] = {
    "connect_timeout": 30,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""
Seconds, and the last in milliseconds, after which a server that has vanished without a word is given up: a minute. By
default Linux asks after two hours (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES-IDLE).
"""
_LIBPQ = frozenset(
    [
        *("application_name", "channel_binding", "connect_timeout", "gssencmode", "hostaddr"),
        *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"),
        *("load_balance_hosts", "options", "require_auth", "target_session_attrs", "tcp_user_timeout"),
        *("sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert"),
    ]
)


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection, with the field names of Airflow."""

    host: str | None
    port: int | None
    login: str | None
    password: str | None = field(repr=False)
    schema: str | None
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)


def libpq_uri(info: ConnectionInfo) -> str:
    """
    Return a Postgres connection as libpq takes it, with the extras that libpq knows.

    Unless an extra says otherwise, it is given up a minute after the server, or the network to it, has vanished.

    Hosts and ports are parameters of the URI, where IPv6 addresses, socket folders and lists need no syntax of their
    own: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS.
    """
    hosts, ports = _hosts_and_ports(info)
    parts = {"user": info.login, "password": info.password, "dbname": info.schema, "host": hosts, "port": ports}
    extras = {**_PATIENCE, **{k: v for k, v in info.extra.items() if k in _LIBPQ}}
    return f"postgresql://?{urlencode({k: v for k, v in parts.items() if v} | extras, quote_via=quote, safe='')}"


def _hosts_and_ports(info: ConnectionInfo) -> tuple[str, str]:
    """Split `host`, which may be a list: names, IPv4 or IPv6 addresses or socket folders, each with its own port."""
    default = str(info.port or DEFAULT_PORT)
    found = [host_and_port(part.strip(), default) for part in (info.host or "").split(",")]
    return ",".join(host for host, _ in found), ",".join(port for _, port in found)


def host_and_port(text: str, default: str) -> tuple[str, str]:
    """Split the name of a server, and return the default port if it has none."""
    if found := re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", text):
        return found[1], found[2] or default
    host, colon, port = text.rpartition(":")
    alone = not colon or ":" in host or text.startswith(("/", "@"))  # an IPv6 address, or a socket folder
    return (text, default) if alone else (host, port)
