"""
Somebody who keeps writing to the source, in every way that a source is written to.

    python -m tests.chaos.writer DSN FOLDER

Short transactions, savepoints, rollbacks, and long transactions that overlap:
among them rows whose newest version has a *lower* transaction id than the one
before it (the transaction that wrote it had begun earlier). No version of a row
is like another: `n` comes from a sequence, and the payload from `n`.

Files in FOLDER: `postcodes`, one a line, to choose from; while `pause` exists
nothing is written, and each thread says so by `quiet-<number>`; `stop` ends it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import psycopg

DDL = """
CREATE SEQUENCE storm_n;
CREATE SEQUENCE storm_id;
CREATE TABLE storm (
    id bigint PRIMARY KEY,
    n bigint NOT NULL UNIQUE,
    payload text NOT NULL,
    postcode varchar(10),
    amount numeric(12, 2),
    at timestamptz NOT NULL
);
"""
# amount is NaN, which no sink can hold, in one version of five hundred
VALUES = """new.n, 'version ' || new.n || repeat(' ' || md5(new.n::text), 6), new.p,
    CASE WHEN mod(new.n, 500) = 0 THEN 'NaN' ELSE new.n / 100.0 END, clock_timestamp()"""
NEW = "(SELECT nextval('storm_n') AS n, i, p FROM unnest(%s::bigint[], %s::text[]) AS given(i, p)) AS new"
INSERT = f"INSERT INTO storm SELECT nextval('storm_id'), {VALUES} FROM {NEW}"
UPDATE = f"UPDATE storm SET (n, payload, postcode, amount, at) = (SELECT {VALUES}) FROM {NEW} WHERE storm.id = new.i"
SECONDS_PER_POSTCODE = 0.05
PATIENCE = "-c lock_timeout=4s"


def seed(dsn: str, rows: int, postcodes: list[str]) -> None:
    """Make the table with its first rows."""
    with psycopg.connect(dsn) as connection:
        connection.execute(DDL)
        chosen = [random.choice(postcodes) for _ in range(rows)]
        connection.execute(INSERT, [[0] * rows, chosen])


class Writer:
    """What all threads share."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn, self.folder = dsn, folder
        self.pool = (folder / "postcodes").read_text().split()
        self.begun = time.monotonic()

    def postcodes(self, count: int) -> list[str | None]:
        """Choose postcodes, new ones among them as time goes by; one of forty is NULL, one is nobody's."""
        reach = min(len(self.pool), 300 + int((time.monotonic() - self.begun) / SECONDS_PER_POSTCODE))
        recent = self.pool[max(0, reach - 200) : reach]
        some = [random.choice(recent if random.random() < 0.3 else self.pool[:reach]) for _ in range(count)]
        return [random.choice((None, "00000")) if random.random() < 0.05 else postcode for postcode in some]

    def write(self, connection: psycopg.Connection, rows: int) -> None:
        """Insert a few rows and change many."""
        connection.execute(INSERT, [[0] * (rows // 4), self.postcodes(rows // 4)])
        last = connection.execute("SELECT last_value FROM storm_id").fetchone()[0]
        self.change(connection, sorted({random.randint(1, last) for _ in range(rows)}))

    def change(self, connection: psycopg.Connection, ids: list[int]) -> None:
        """Give rows a new version."""
        connection.execute(UPDATE, [ids, self.postcodes(len(ids))])


def short(writer: Writer, connection: psycopg.Connection) -> None:
    """Write at once; part of it behind a savepoint that may be rolled back."""
    writer.write(connection, 40)
    for _ in range(random.choice((0, 0, 1, 3))):
        connection.execute("SAVEPOINT here")
        writer.write(connection, 20)
        if random.random() < 0.5:
            connection.execute("ROLLBACK TO SAVEPOINT here")


def long(writer: Writer, connection: psycopg.Connection) -> None:
    """Take an id early, and write for seconds."""
    for _ in range(random.randint(2, 5)):
        writer.write(connection, 12)
        time.sleep(random.uniform(0.1, 0.6))


def overtaken(writer: Writer, connection: psycopg.Connection) -> None:
    """Begin first, write last: the row's newest version has a lower transaction id than the one before."""
    connection.execute(INSERT, [[0], writer.postcodes(1)])  # touches no row that the other one waits for
    with psycopg.connect(writer.dsn, options=PATIENCE) as other:
        last = other.execute("SELECT last_value FROM storm_id").fetchone()[0]
        ids = sorted({random.randint(1, last) for _ in range(10)})
        writer.change(other, ids)
        other.commit()
    time.sleep(random.uniform(0.2, 2.5))
    writer.change(connection, ids)


def transact(writer: Writer, habit: Callable) -> None:
    """Write in one transaction; commit or roll back. A server that goes away, or a lock, is part of the day."""
    try:
        with psycopg.connect(writer.dsn, connect_timeout=3, options=PATIENCE) as connection:
            habit(writer, connection)
            if random.random() < 0.15:
                connection.rollback()
    except psycopg.OperationalError:
        time.sleep(0.2)


def work(writer: Writer, number: int, habits: list[Callable]) -> None:
    """Write until told to stop."""
    quiet = writer.folder / f"quiet-{number}"
    while not (writer.folder / "stop").exists():
        if (writer.folder / "pause").exists():
            quiet.touch()
            time.sleep(0.05)
            continue
        quiet.unlink(missing_ok=True)
        transact(writer, random.choice(habits))
        time.sleep(random.uniform(0.05, 0.3))


HABITS = [[short], [short, long], [long, overtaken], [overtaken, short]]
"""What each thread does."""


def main() -> None:
    """Write until `stop` exists."""
    writer = Writer(sys.argv[1], Path(sys.argv[2]))
    threads = [Thread(target=work, args=(writer, number, some)) for number, some in enumerate(HABITS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
