"""Several contenders do the same work: interleaved, each with a Gold of its own, each result checked."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deltalake import DeltaTable

from benchmarks.harness import equality
from benchmarks.harness.measure import measure
from benchmarks.harness.servers import ROOT, NotInstallable, Servers, child_environment, python_of

SCRIPTS = ROOT / "benchmarks" / "contenders"
PIPELINE = {
    "name": "employees",
    "source": {"table": "employees", "key": "id"},
    "enrich": {"geocode": {"postcode": "postcode", "country": "US", "geocoder": "offline"}},
    "silver": {"table": "EMPLOYEES_ENRICHED"},
    "gold": {"table": "gold"},
}
LOG = {**PIPELINE, "deletes": "hard", "source": {**PIPELINE["source"], "read": "log"}}
GOLD_ONLY = {name: value for name, value in PIPELINE.items() if name != "silver"}
Change = Callable[[Servers, int], None]


@dataclass(frozen=True)
class Limit:
    """The most rows that a contender can do, and why not more."""

    rows: int
    reason: str


@dataclass(frozen=True)
class Contender:
    """One way to do the work: a script, run as a process of its own."""

    name: str
    script: str
    gold: str | None  # path of its Gold below its own prefix; None if it writes none
    enriches: bool
    environment: str | None = None  # an environment of its own; None is this one
    settings: dict = field(default_factory=dict)
    limit: Limit | None = None
    program: tuple[str, str] | None = None  # that must be installed, and the Debian package that brings it

    def python(self) -> Path:
        """Return the interpreter that runs the script; raises `NotInstallable`."""
        if self.program and not shutil.which(self.program[0]):
            raise NotInstallable(f"{self.program[0]} is not installed (Debian's package {self.program[1]})")
        return python_of(self.environment) if self.environment else Path(sys.executable)

    def able(self, rows: int) -> bool:
        """Return whether it can do a table of so many rows."""
        return self.limit is None or rows <= self.limit.rows

    @property
    def slug(self) -> str:
        """The name in a form that can be part of a path."""
        return self.name.replace(" ", "-")

    def command(self, servers: Servers, place: str) -> list[str | Path]:
        """Return the command that does the work into this place, a name of its own in lake and folder."""
        state = servers.state / "contenders" / place
        state.mkdir(parents=True, exist_ok=True)
        task = {
            "source": servers.uri,
            "lake": f"s3://{servers.lake.bucket}/{place}",
            "options": servers.lake.options,
            "state": str(state),
            "pipeline": PIPELINE,
            **self.settings,
        }
        return [self.python(), SCRIPTS / self.script, json.dumps(task)]

    def table(self, servers: Servers, place: str) -> DeltaTable:
        """Open the Gold that it wrote."""
        return DeltaTable(self._uri(servers, place), storage_options=servers.lake.options)

    def is_there(self, servers: Servers, place: str) -> bool:
        """Return whether it has written a Gold."""
        return DeltaTable.is_deltatable(self._uri(servers, place), storage_options=servers.lake.options)

    def _uri(self, servers: Servers, place: str) -> str:
        return f"s3://{servers.lake.bucket}/{place}/{self.gold}"


OURS = Contender("medallion", "ours.py", "gold", enriches=True)
BY_LOG = Contender("medallion read: log", "ours.py", "gold", enriches=True, settings={"pipeline": LOG})
DLT_DEFAULT = Contender("dlt pyarrow", "dlt_pipeline.py", "gold/employees", False, "dlt", {"backend": "pyarrow"})
DLT_FASTER = Contender("dlt connectorx", "dlt_pipeline.py", "gold/employees", False, "dlt", {"backend": "connectorx"})
DUCKDB = Contender("duckdb", "duckdb_deltalake.py", "gold", False, "duckdb")
POLARS = Contender("polars", "polars_deltalake.py", "gold", False, "polars")
INGESTR = Contender("ingestr", "ingestr_deltalake.py", "gold", False, "ingestr")
DEBEZIUM = Contender(
    *("debezium", "debezium_engine.py", "gold", False, "debezium"), program=("java", "openjdk-17-jre-headless")
)
ROW_BY_ROW = Contender(
    "row by row",
    "row_by_row.py",
    "gold",
    enriches=True,
    limit=Limit(1_000_000, "it keeps every value as a Python object, some 2 GB for each million rows"),
)
LIMIT = Contender("limit", "limit.py", "gold", enriches=True)
BARE_SCAN = Contender("bare scan", "bare_scan.py", None, enriches=False)


def compete(
    servers: Servers,
    contenders: Sequence[Contender],
    rounds: int,
    place: Callable[[int, Contender], str],
    prepare: Callable[[int], None] = lambda _: None,
    finish: Callable[[str], None] = lambda _: None,
) -> Iterator[dict]:
    """
    Let each contender do the work once a round, in turns; yield a row per contender and round.

    Args:
        place: returns where a contender works in a round; the same place again continues from there.
        prepare: called with the round's number before the first turn.
        finish: called with a contender's place after its turn and the check of its result.
    """
    for number in range(rounds):
        prepare(number)
        columns, truth = equality.of_source(servers)
        turns = contenders if number % 2 == 0 else contenders[::-1]
        coordinates: dict[str, equality.Digest] = {}
        for contender in turns:
            gc.collect()
            before = servers.traffic()
            row = measure(contender.command(servers, place(number, contender)), child_environment({}))
            after = servers.traffic()
            row |= {f"s3_{kind}_mb": (after[kind] - before[kind]) / 1e6 for kind in after}
            row |= {"contender": contender.name, "round": number, "fault": None}
            if contender.gold:
                table = contender.table(servers, place(number, contender))
                row["files"] = len(table.file_uris())
                row["fault"] = _fault(contender, table, columns, truth, coordinates)
            finish(place(number, contender))
            yield row


def printed(rows: Iterator[dict]) -> Iterator[dict]:
    """Pass rows on and print each."""
    for row in rows:
        stages = "  ".join(f"{stage} {seconds:.2f}" for stage, seconds in row["said"]["stages"].items())
        print(
            f"round {row['round']}  {row['contender']:<15} {row['wall']:7.2f} s {row['cpu']:7.2f} CPU-s "
            f"{row['peak_mb']:6.0f} MB  {row['fault'] or stages}",
            flush=True,
        )
        yield row


def _fault(
    contender: Contender,
    table: DeltaTable,
    columns: list[str],
    truth: equality.Digest,
    coordinates: dict[str, equality.Digest],
) -> str | None:
    """Return why a result does not count; None if it is right."""
    found = equality.of_gold(table, columns)
    if found[0] > truth[0]:
        return "Gold keeps rows that the source no longer has"
    if found != truth:
        return f"Gold differs from the source: {found[0]:,} rows of {truth[0]:,}"
    if contender.enriches:
        mine = equality.of_gold(table, equality.ADDED)
        if coordinates.setdefault("first", mine) != mine:
            return "its coordinates differ from the first contender's"
    return None
