"""
What Postgres and libpq report, as failures that say what to check.

An error has a SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) unless it comes while a
connection is opened or rows are streamed; then only its words are known, which a server with another `lc_messages`
translates. Messages never repeat those words: they may quote parts of a connection URI, or of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.medallion.errors import SettingError, Transient


@dataclass(frozen=True, slots=True)
class _Condition:
    """
    One reason for which the source fails.

    Args:
        codes: SQLSTATEs, or how they begin.
        words: any of which the server's message holds; with a code as well as without one.
        message: `{name}` stands for the connection.
    """

    codes: tuple[str, ...]
    words: tuple[str, ...]
    message: str

    def fits(self, sqlstate: str | None, text: str) -> bool:
        return any(word in text for word in self.words) or bool(sqlstate and sqlstate.startswith(self.codes))


_CONDITIONS = (
    _Condition(
        (),
        ("conflict with recovery",),
        "the standby of connection `{name}` cancelled a read that conflicts with recovery: set "
        "hot_standby_feedback = on, or raise max_standby_streaming_delay",
    ),
    _Condition(
        (),
        ("due to statement timeout",),
        "a read of connection `{name}` took longer than statement_timeout: raise it for the role, or lower "
        "parts.chunk_mb",
    ),
    _Condition(
        ("55P03",),
        ("due to lock timeout",),
        "connection `{name}` waited longer than lock_timeout for the table: another session changes it (ALTER TABLE, "
        "TRUNCATE, VACUUM FULL)",
    ),
    _Condition(
        ("25P03", "25P04", "57P05"),
        ("due to idle-in-transaction timeout", "due to transaction timeout", "due to idle-session timeout"),
        "Postgres ended connection `{name}`, which was open longer than idle_in_transaction_session_timeout, "
        "transaction_timeout or idle_session_timeout: raise it for the role",
    ),
    _Condition(
        ("53300",),
        ("too many clients", "too many connections", "remaining connection slots"),
        "Postgres has no free slot for connection `{name}`: raise max_connections or the role's CONNECTION LIMIT, or "
        "run fewer pipelines at the same time",
    ),
    _Condition(
        ("57P03",),
        ("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections"),
        "the Postgres of connection `{name}` is starting up or shutting down",
    ),
    _Condition(
        ("57P01", "57P02"),
        ("due to administrator command", "another server process"),
        "the Postgres of connection `{name}` was stopped, or an administrator ended the session",
    ),
    _Condition(("57014",), ("due to user request",), "an administrator cancelled a read of connection `{name}`"),
    _Condition(("40P01",), ("deadlock detected",), "a read of connection `{name}` met a deadlock"),
    _Condition(
        ("53100", "53200", "58"),
        ("No space left on device", "out of memory"),
        "the Postgres of connection `{name}` is out of disk or memory, or cannot read a file: check the server",
    ),
    _Condition(
        ("08",),
        (
            "server closed the connection",
            "connection has been closed",
            "could not receive data",
            "SSL SYSCALL error",
            "no connection to the",
        ),
        "the connection `{name}` to Postgres broke: check the server and the network",
    ),
)
_REFUSALS = (
    *("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist"),
    *("is not permitted to log in", "permission denied", "not currently accepting connections"),
    *("no such user", "no such database"),  # by PgBouncer
)


def read_failure(name: str, sqlstate: str | None, text: str) -> Transient | None:
    """
    Return the failure for what the source reported while it was read; None if it is none that is known.

    Args:
        name: of the connection.
        sqlstate: if the driver gives one.
        text: the server's message.
    """
    found = next((c for c in _CONDITIONS if c.fits(sqlstate, text)), None)
    return Transient(found.message.format(name=name)) if found else None


def connection_failure(name: str, text: str) -> SettingError | Transient:
    """Return the failure for what libpq reported while connection `name` was opened."""
    if any(words in text for words in _REFUSALS):
        return SettingError(
            f"Postgres refused the login of connection `{name}`: check login, password, database and pg_hba.conf"
        )
    return read_failure(name, None, text) or Transient(
        f"Postgres cannot be reached: check connection `{name}` (host, port, TLS) and that the server is up"
    )
