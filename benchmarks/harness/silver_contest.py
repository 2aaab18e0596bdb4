"""
Two ways into Snowflake with the same staged batches, in turns, each into a schema of its own, compared row by row.

The batches are staged once by the core's own functions: the whole table, then what changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from benchmarks.harness.contest import GOLD_ONLY, PIPELINE, SCRIPTS
from benchmarks.harness.measure import measure
from benchmarks.harness.servers import Servers, child_environment
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.columns import SYSTEM_COLUMNS, Column
from include.medallion.model.window import Window
from include.medallion.staging.batch import open_batch
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run import run_window
from include.sandbox import processes, snowflake
from include.sandbox.processes import Daemon
from include.sandbox.snowflake import Snowflake

CONTENDERS = {"medallion": "silver_ours.py", "by hand": "silver_by_hand.py"}
TABLE = PIPELINE["silver"]["table"]


@dataclass(frozen=True)
class StagedBatch:
    """A staged batch: the task that both contenders get, and the number of its rows."""

    task: dict
    rows: int


@contextmanager
def account(servers: Servers) -> Iterator[Snowflake]:
    """Start Snowflake's stand-in beside the other servers; this process trusts its certificate."""
    try:
        there = snowflake.start(servers.state)
        os.environ |= there.environment
        yield there
    finally:
        snowflake.stop(servers.state)


def stage(servers: Servers, place: str) -> StagedBatch:
    """
    Stage what is new since the last batch, below this place in the lake.

    It is written to Gold, where the next window starts.
    """
    pipeline = Pipeline.model_validate(GOLD_ONLY)
    root = f"s3://{servers.lake.bucket}/{place}"
    connections = connection_settings.Connections(servers.uri, None, open_lake(root, servers.lake.options), {})
    window = open_window(pipeline, connections)
    run_window(pipeline, connections, window)
    batch = open_batch(connections.lake, pipeline, window)
    task = {
        "lake": root,
        "options": servers.lake.options,
        "pipeline": PIPELINE,
        "window": TypeAdapter(Window).dump_python(window, mode="json"),
        "files": [connections.lake.path(file.path) for file in batch.files],
        "columns": _columns(batch.columns),
        "system": _columns(SYSTEM_COLUMNS),
        "loaded_at": window.opened_at.isoformat(),
    }
    return StagedBatch(task, batch.rows)


def compete(servers: Servers, there: Snowflake, batches: Sequence[StagedBatch], rounds: int) -> Iterator[dict]:
    """Let each contender load the batches, one after the other, in turns; yield a row per turn, with `batch` from 0."""
    for number in range(rounds):
        for index, batch in enumerate(batches):
            names = list(CONTENDERS) if number % 2 == 0 else list(CONTENDERS)[::-1]
            turns = [_turn(servers, there, batch, name, number) for name in names]
            different = fault(there, [_schema(name, number) for name in names])
            yield from ({**turn, "batch": index, "fault": different} for turn in turns)
        with closing(there.connect()) as connection:
            for name in CONTENDERS:
                connection.cursor().execute(f"DROP SCHEMA {_schema(name, number)}")


def load(there: Snowflake, batch: StagedBatch, name: str, schema: str) -> dict:
    """Let a contender load a batch into a schema; return what its process took, as `measure` does."""
    given = {"AIRFLOW_CONN_SILVER": replace(there, schema=schema).airflow(), **there.environment}
    command = [sys.executable, SCRIPTS / CONTENDERS[name], json.dumps(batch.task)]
    return measure(command, child_environment(given))


def fault(there: Snowflake, schemas: Sequence[str]) -> str | None:
    """Compare all columns of all rows of both tables; return how they differ, None if they do not."""
    one, other = (f"{there.database}.{schema}.{TABLE}" for schema in schemas)
    # as the core connects: ten million rows take longer to compare than the sandbox's own client waits
    given = {"AIRFLOW_CONN_SILVER": there.airflow()}
    with (
        closing(
            connection_settings.connect_snowflake(connection_settings.read_connection("silver", given))
        ) as connection,
        connection.cursor() as cursor,
    ):
        (rows, others) = (cursor.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in (one, other))
        # keys are unique: if the counts are equal and the other has every row, neither has one too many
        (only,) = cursor.execute(f"SELECT COUNT(*) FROM (SELECT * FROM {one} MINUS SELECT * FROM {other})").fetchone()
    return f"the two tables differ: {rows:,} and {others:,} rows, {only:,} unlike" if rows != others or only else None


def _columns(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    return [(c.name, c.snowflake_name, c.snowflake_type) for c in columns]


def _schema(name: str, number: int) -> str:
    return f"{name}_{number}".replace(" ", "_").upper()


def _turn(servers: Servers, there: Snowflake, batch: StagedBatch, name: str, number: int) -> dict:
    traffic, server_cpu = servers.traffic(), _cpu(servers)
    row = load(there, batch, name, _schema(name, number))
    row |= {"server_cpu": _cpu(servers) - server_cpu, "contender": name, "round": number}
    return row | {f"s3_{kind}_mb": (count - traffic[kind]) / 1e6 for kind, count in servers.traffic().items()}


def _cpu(servers: Servers) -> float:
    """Return the CPU seconds of the stand-in until now."""
    process = processes.running(Daemon(servers.state, snowflake.NAME))
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)
