"""
Watch one table and say when a run has to start. What is decided is in `model.watch`; here the source is polled.

The table itself is never read: a poll takes less than a millisecond, and one more query if the log has grown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.medallion.bronze.postgres.failures import connection_failure, read_failure
from include.medallion.errors import SettingError, Transient
from include.medallion.model.columns import quote_identifier, quote_literal
from include.medallion.model.log_range import lsn_text
from include.medallion.model.watch import MAX_BYTES_BEHIND, LogPoll, Poll, Watch, decide

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[dict[str, Any]]

_SQL = Path(__file__).parents[1] / "sql"
SECONDS_BETWEEN, SECONDS_PER_POLL = 0.25, 300
SHARE_OF_TIME = 0.2
"""A poll that takes long, because there is much to decode, is followed by a longer pause."""
_IN_USE = "55006"


@dataclass(frozen=True, slots=True)
class Watched:
    """
    What is watched.

    Args:
        connection: its name, for messages.
        slot: the pipeline's replication slot; empty if it does not read the log.
        channel: on which changes are announced; empty if there is none.
    """

    connection: str
    schema: str
    table: str
    publication: str
    slot: str = ""
    channel: str = ""


@dataclass
class Watcher:
    """Watches a table; what it knows outlives a lost connection."""

    watched: Watched
    state: Watch = field(default_factory=Watch)

    async def reasons(self, uri: str) -> AsyncIterator[str]:
        """
        Yield a reason whenever a run has to start, until the connection is lost.

        Args:
            uri: connection of the source, as libpq takes it.

        Raises:
            SettingError: the server refused the login, or there is no such table.
            Transient: the source cannot be reached, or ended the connection.
        """
        async with _connected(self.watched, uri) as connection:
            notified = await self._listen(connection)
            while True:
                begun = time.monotonic()
                if reason := await self.poll(connection, notified=notified):
                    yield reason
                pause = max(SECONDS_BETWEEN, (time.monotonic() - begun) * (1 / SHARE_OF_TIME - 1))
                notified = await self._pause(connection, pause)

    async def poll(self, connection: Connection, *, notified: bool = False) -> str:
        """Poll the source once; return the reason for a run, or nothing."""
        async with asyncio.timeout(SECONDS_PER_POLL):
            seen = await self._see(connection, notified=notified)
        if seen is None:
            return ""
        self.state, reason = decide(self.state, seen)
        return reason

    async def _listen(self, connection: Connection) -> bool:
        """Listen to the channel; notifications of before were missed."""
        if not self.watched.channel:
            return False
        await connection.execute(f"LISTEN {quote_identifier(self.watched.channel)}".encode())
        return True

    async def _pause(self, connection: Connection, seconds: float) -> bool:
        """Wait, but no longer than until a notification; return whether one came."""
        if not self.watched.channel:
            await asyncio.sleep(seconds)
            return False
        return bool([n async for n in connection.notifies(timeout=seconds, stop_after=1)])

    async def _see(self, connection: Connection, *, notified: bool) -> Poll | None:
        """Look at the source; None if another session uses the slot."""
        names = {"schema": self.watched.schema, "table": self.watched.table, "slot": self.watched.slot}
        words = {name: quote_literal(text) for name, text in names.items()}
        row = await _fetch(connection, "watch", readable=_read("readable"), **words)
        if row["shape"] is None:
            table = f"{self.watched.schema}.{self.watched.table}"
            raise SettingError(f"connection `{self.watched.connection}` has no table {table}: nothing can be watched")
        poll = Poll(row["shape"], row["written"] or 0, row["xmin"], row["xmax"], notified)
        return await self._with_log(connection, poll, row) if row["usable"] else poll

    async def _with_log(self, connection: Connection, poll: Poll, row: dict[str, Any]) -> Poll | None:
        from psycopg import Error  # noqa: PLC0415 (Airflow's; a shell need not have loaded it)

        log = LogPoll(row["log_end"], row["confirmed"])
        try:
            if self.state.log_end < log.end <= max(log.confirmed, self.state.covered) + MAX_BYTES_BEHIND:
                log = LogPoll(log.end, log.confirmed, await self._peek(connection, log, row["relation"]))
        except Error as e:
            return None if e.sqlstate == _IN_USE else poll  # the run will say what is wrong with the log
        return Poll(poll.shape, poll.written, poll.xmin, poll.xmax, poll.notified, log)

    async def _peek(self, connection: Connection, log: LogPoll, relation: int) -> int:
        """Return where the last change ends that no run was started for: one transaction of the log is enough."""
        covered = self.state.covered
        literals = {
            "slot": self.watched.slot,
            "publication": quote_identifier(self.watched.publication),
            "relation": rf"\x{relation:08x}",
            "upto": lsn_text(log.end),
        }
        words = {name: quote_literal(text) for name, text in literals.items()}
        if log.confirmed >= covered:
            first = await _fetch(connection, "watch_log", covered=covered, most=1, **words)
            if first["changed"] or not first["transactions"]:
                return int(first["changed"])
        return int((await _fetch(connection, "watch_log", covered=covered, most="NULL", **words))["changed"])


@asynccontextmanager
async def _connected(watched: Watched, uri: str) -> AsyncIterator[Connection]:
    """Open a connection without a transaction; what breaks it is `Transient`."""
    from psycopg import AsyncConnection, Error  # noqa: PLC0415
    from psycopg.rows import dict_row  # noqa: PLC0415

    try:
        connection = await AsyncConnection.connect(uri, autocommit=True, row_factory=dict_row, prepare_threshold=None)
    except Error as e:
        raise connection_failure(watched.connection, str(e)) from None
    try:
        async with connection:
            yield connection
    except (Error, OSError) as e:
        sqlstate = e.sqlstate if isinstance(e, Error) else None
        lost = Transient(f"the connection `{watched.connection}` to Postgres broke: check the server and the network")
        raise read_failure(watched.connection, sqlstate, str(e)) or lost from None


async def _fetch(connection: Connection, name: str, **words: object) -> dict[str, Any]:
    cursor = await connection.execute(_read(name).format(**words).encode())
    (row,) = await cursor.fetchall()
    return row


def _read(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text()
