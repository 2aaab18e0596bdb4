"""
The workload: transactions that write to the source, in every way that a source is written to.

    python -m tests.chaos.workload DSN FOLDER

Short transactions, savepoints, rollbacks, and long transactions that overlap:
among them rows whose newest version has a *lower* transaction id than the one
before it (the transaction that wrote it had begun earlier). No version of a row
is like another: `n` comes from a sequence, and the payload from `n`.

Files in FOLDER: `postcodes`, one a line, to choose from; while `pause` exists
nothing is written, and each thread confirms it by `quiet-<number>`; `stop` ends it.
While `ddl` exists the table's columns change, and while `reload` exists its rows are
replaced by TRUNCATE and INSERT now and then.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import psycopg

from . import ddl

DDL = """
CREATE SEQUENCE chaos_n;
CREATE SEQUENCE chaos_id;
CREATE TABLE chaos (
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
NEW = "(SELECT nextval('chaos_n') AS n, i, p FROM unnest(%s::bigint[], %s::text[]) AS given(i, p)) AS new"
FIXED = "id, n, payload, postcode, amount, at"
INSERT = f"INSERT INTO chaos ({FIXED}) SELECT nextval('chaos_id'), {VALUES} FROM {NEW}"
UPDATE = f"UPDATE chaos SET (n, payload, postcode, amount, at) = (SELECT {VALUES}) FROM {NEW} WHERE chaos.id = new.i"
SECONDS_PER_POSTCODE = 0.05
PATIENCE = "-c lock_timeout=4s"
SECONDS_BETWEEN_CHANGES = 4, 12


def seed(dsn: str, rows: int, postcodes: list[str]) -> None:
    """Make the table with its first rows."""
    with psycopg.connect(dsn) as connection:
        connection.execute(DDL)
        connection.execute(ddl.SETUP)
        connection.execute("CREATE PUBLICATION medallion_chaos FOR TABLE chaos")
        chosen = [random.choice(postcodes) for _ in range(rows)]
        connection.execute(INSERT, [[0] * rows, chosen])


class Workload:
    """What all threads share."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn, self.folder = dsn, folder
        self.pool = (folder / "postcodes").read_text().split()
        self.begun = time.monotonic()

    def postcodes(self, count: int) -> list[str | None]:
        """Choose postcodes, new ones among them as time goes by; one of forty is NULL, one does not exist."""
        reach = min(len(self.pool), 300 + int((time.monotonic() - self.begun) / SECONDS_PER_POSTCODE))
        recent = self.pool[max(0, reach - 200) : reach]
        some = [random.choice(recent if random.random() < 0.3 else self.pool[:reach]) for _ in range(count)]
        return [random.choice((None, "00000")) if random.random() < 0.05 else postcode for postcode in some]

    def wait(self, seconds: float) -> None:
        """Wait, but not while everything is to pause or to stop."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not any((self.folder / name).exists() for name in ("pause", "stop")):
            time.sleep(0.1)

    def write(self, connection: psycopg.Connection, rows: int) -> None:
        """Insert a few rows and change many."""
        connection.execute(INSERT, [[0] * (rows // 4), self.postcodes(rows // 4)])
        last = connection.execute("SELECT last_value FROM chaos_id").fetchone()[0]
        self.change(connection, sorted({random.randint(1, last) for _ in range(rows)}))

    def change(self, connection: psycopg.Connection, ids: list[int]) -> None:
        """Give rows a new version."""
        connection.execute(UPDATE, [ids, self.postcodes(len(ids))])


def short(workload: Workload, connection: psycopg.Connection) -> None:
    """Write at once; part of it behind a savepoint that may be rolled back."""
    workload.write(connection, 40)
    for _ in range(random.choice((0, 0, 1, 3))):
        connection.execute("SAVEPOINT here")
        workload.write(connection, 20)
        if random.random() < 0.5:
            connection.execute("ROLLBACK TO SAVEPOINT here")


def long(workload: Workload, connection: psycopg.Connection) -> None:
    """Take an id early, and write for seconds."""
    for _ in range(random.randint(2, 5)):
        workload.write(connection, 12)
        time.sleep(random.uniform(0.1, 0.6))


def overtaken(workload: Workload, connection: psycopg.Connection) -> None:
    """Begin first, write last: the row's newest version has a lower transaction id than the one before."""
    connection.execute(INSERT, [[0], workload.postcodes(1)])  # touches no row that the other one waits for
    with psycopg.connect(workload.dsn, options=PATIENCE) as other:
        last = other.execute("SELECT last_value FROM chaos_id").fetchone()[0]
        ids = sorted({random.randint(1, last) for _ in range(10)})
        workload.change(other, ids)
        other.commit()
    time.sleep(random.uniform(0.2, 2.5))
    workload.change(connection, ids)


def evolve(workload: Workload, connection: psycopg.Connection) -> None:
    """Change the table, or replace its rows, if that is wanted; then wait."""
    wanted = {"ddl": ddl.change, "reload": ddl.replace_rows}
    changes = [change for name, change in wanted.items() if (workload.folder / name).exists()]
    if changes:
        random.choice([changes[0], *changes])(connection)
        connection.commit()
    workload.wait(random.uniform(*SECONDS_BETWEEN_CHANGES))


def transact(workload: Workload, habit: Callable) -> None:
    """Write in one transaction; commit or roll back. A server that goes away, or a lock, is expected."""
    try:
        with psycopg.connect(workload.dsn, connect_timeout=3, options=PATIENCE) as connection:
            habit(workload, connection)
            if random.random() < 0.15:
                connection.rollback()
    except psycopg.OperationalError:
        time.sleep(0.2)


def work(workload: Workload, number: int, habits: list[Callable]) -> None:
    """Write until `stop` exists."""
    quiet = workload.folder / f"quiet-{number}"
    while not (workload.folder / "stop").exists():
        if (workload.folder / "pause").exists():
            quiet.touch()
            time.sleep(0.05)
            continue
        quiet.unlink(missing_ok=True)
        transact(workload, random.choice(habits))
        time.sleep(random.uniform(0.05, 0.3))


HABITS = [[short], [short, long], [long, overtaken], [overtaken, short], [evolve]]
"""What each thread does."""


def main() -> None:
    """Write until `stop` exists."""
    workload = Workload(sys.argv[1], Path(sys.argv[2]))
    threads = [Thread(target=work, args=(workload, number, some)) for number, some in enumerate(HABITS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
