"""How soon a committed row is visible in a Delta table that something keeps up to date."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import psycopg
from deltalake import DeltaTable

from benchmarks.harness import employees, equality, residents
from benchmarks.harness.contest import Contender
from benchmarks.harness.residents import Resident
from benchmarks.harness.servers import Servers

SECONDS_TO_WAIT, ROWS_PER_SECOND, EVERY_SECONDS = 300, 5_000, 0.05


@dataclass(frozen=True)
class Plan:
    """
    What is watched.

    Args:
        inserts: number of single rows.
        many: rows of one transaction.
        idle: seconds without a change, in which the cost is measured.
        pause: seconds between two changes, at most.
    """

    inserts: int
    many: int
    idle: float
    pause: float = 5


@dataclass
class Reader:
    """Reads the Delta log of a contender's Gold table, to see when a row arrives."""

    servers: Servers
    contender: Contender
    place: str
    table: DeltaTable | None = field(default=None)

    def holds(self, key: int) -> bool:
        """Return whether Gold has the row of this key, the largest there is."""
        if not self.table:
            if not self.contender.is_there(self.servers, self.place):
                return False
            self.table = self.contender.table(self.servers, self.place)
        self.table.update_incremental()
        files = self.table.get_add_actions(flatten=True)
        largest = files.column("max.id").to_pylist() if "max.id" in files.schema.names else []
        return any(value is not None and value >= key for value in largest)


def watch(servers: Servers, contender: Contender, place: str, running: Resident, plan: Plan) -> dict:
    """
    Let a contender that runs load the table, then commit rows and wait for each; return what it took.

    Returns:
        `seconds` from COMMIT until a reader sees it, for each single row; `transaction`: of many rows; `idle`: its
        memory and cores while nothing changes; `fault` if Gold then differs from the source.
    """
    reader, last = Reader(servers, contender, place), _largest(servers)
    _wait(reader, running, last, SECONDS_TO_WAIT + last / ROWS_PER_SECOND)
    time.sleep(plan.pause)
    idle = residents.cost(running, plan.idle)
    seconds = [_arrival(reader, running, plan.pause, 1) for _ in range(plan.inserts)]
    transaction = _arrival(reader, running, plan.pause, plan.many)
    columns, truth = equality.of_source(servers)
    fault = None if equality.of_gold(reader.table, columns) == truth else "Gold differs from the source"
    return {"seconds": seconds, "transaction": transaction, "idle": idle, "fault": fault}


def _arrival(reader: Reader, running: Resident, pause: float, count: int) -> float:
    """Commit so many rows at a random moment; return the seconds until a reader sees them."""
    time.sleep(random.uniform(0, pause))
    employees.insert(reader.servers, count)
    begun = time.perf_counter()
    _wait(reader, running, _largest(reader.servers), SECONDS_TO_WAIT)
    found = time.perf_counter() - begun
    print(f"{reader.contender.name}: {count:,} rows: {found:.2f} s", flush=True)
    return found


def _wait(reader: Reader, running: Resident, key: int, seconds: float) -> None:
    """Wait until Gold holds the row of this key."""
    deadline = time.monotonic() + seconds
    while not reader.holds(key):
        running.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"row {key} is not in the Gold of {reader.contender.name} after {seconds:.0f} s")
        time.sleep(EVERY_SECONDS)


def _largest(servers: Servers) -> int:
    with psycopg.connect(servers.bronze.dsn(servers.database)) as connection:
        return connection.execute("SELECT max(id) FROM employees").fetchone()[0]
