"""The deployment of these tests: what can be asked of it and done to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import TypeAdapter

from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.medallion.steps.summary.row_counts import RunSummary
from include.sandbox import client, stack
from include.sandbox.client import Api
from include.sandbox.google import Google
from include.sandbox.sentry import Receiver

SUMMARY = TypeAdapter(RunSummary)
VARIANT = 5  # of `snowflake.connector.constants.FIELD_TYPES`
OPTIONS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP")


WAITING_OR_FAILED = {"awaiting_input", "failed", "up_for_retry"}


@dataclass(frozen=True)
class Run:
    """A run, and its state when it was last read."""

    api: Api
    dag_id: str
    run_id: str
    state: str = "queued"

    def ended(self) -> Run:
        """Wait for the end: by its state alone, since the api-server answers the tasks too."""
        path = f"dags/{self.dag_id}/dagRuns/{self.run_id}"
        state = wait(lambda: (found := self.api.call("GET", path)["state"]) in client.ENDED and found, 480, every=0.4)
        print(self.run_id, state, self.states)
        return replace(self, state=state)

    @property
    def tasks(self) -> list[dict]:
        """The task instances."""
        return client.tasks(self.api, self.dag_id, self.run_id)

    @property
    def states(self) -> dict[str, str]:
        """The tasks' states by name, mapped ones as `enrich[0]`."""
        return {client.name(task): task["state"] for task in self.tasks}

    def asks(self) -> dict:
        """Wait until a task waits for an approval; return what Airflow shows of it under *Required Actions*."""
        states = wait(lambda: WAITING_OR_FAILED & {*self.states.values()} and self.states, 240, every=0.4)
        assert "awaiting_input" in states.values(), f"{states}: {self.failures}"
        path = f"dags/{self.dag_id}/dagRuns/{self.run_id}/hitlDetails"
        (asked,) = self.api.call("GET", path)["hitl_details"]
        return asked

    def answer(self, asked: Mapping, option: str) -> Run:
        """Choose an option, as a person does, and wait for the end."""
        task = asked["task_instance"]
        path = (
            f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
        )
        self.api.call("PATCH", path, json={"chosen_options": [option], "params_input": {}})
        return self.ended()

    @property
    def summary(self) -> RunSummary | None:
        """What `commit` returned."""
        found = client.summary(self.api, self.dag_id, self.run_id)
        return found and SUMMARY.validate_python(found)

    @property
    def failures(self) -> str:
        """The reasons of the failed tasks, as a person sees them."""
        return "\n".join(client.failures(self.api, self.dag_id, self.run_id))

    def log(self, task_id: str, try_number: int = 1) -> list[dict]:
        """Return the log of a task's try, as Airflow's page shows it: one entry for each line."""
        path = f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}/logs/{try_number}"
        return self.api.call("GET", path, params={"map_index": -1})["content"]

    @property
    def events(self) -> dict[str, RunSummary]:
        """The summaries in the run's asset events, by asset."""
        some = {"source_dag_id": self.dag_id, "source_run_id": self.run_id}
        events = self.api.call("GET", "assets/events", params=some)["asset_events"]
        return {event["name"]: SUMMARY.validate_python(event["extra"]) for event in events}

    def rerun_failed(self) -> Run:
        """Clear the failed tasks and those after them, as a person does, and wait for the end."""
        return self._clear(only_failed=True)

    def again(self, *tasks: str | tuple[str, int]) -> Run:
        """Clear some tasks and all after them, or the whole run, and wait for the end."""
        some = {"task_ids": tasks, "include_downstream": True} if tasks else {}
        return self._clear(only_failed=False, **some)

    def _clear(self, **options: object) -> Run:
        options |= {"dry_run": False, "dag_run_id": self.run_id, "reset_dag_runs": True}
        self.api.call("POST", f"dags/{self.dag_id}/clearTaskInstances", json=options)
        return self.ended()

    @property
    def times(self) -> tuple[str, str]:
        """When it began and ended."""
        run = self.api.call("GET", f"dags/{self.dag_id}/dagRuns/{self.run_id}")
        return run["start_date"], run["end_date"]


@dataclass(frozen=True)
class Deployment:
    """The running servers, and Airflow with our DAGs and the project folder's own."""

    state: Path
    project: Path
    settings: Mapping[str, str]
    google: Google
    sentry: Receiver

    def run(self, name: str, **params: object) -> Run:
        """Trigger a pipeline as a person does, and wait for the end."""
        return self.begin(name, **params).ended()

    def begin(self, name: str, **params: object) -> Run:
        """Trigger a pipeline once Airflow knows it."""
        api, dag_id = client.login(self.settings), f"medallion_{name}"
        client.await_dag(api, dag_id, self.project)
        return Run(api, dag_id, client.trigger(api, dag_id, params))

    def asked(self, run: Run) -> dict:
        """
        Wait until a run asks, and the scheduler has dealt with the end of the process that asked.

        An answer before that, which no person is fast enough to give, starts the task twice.
        """
        asked, log = run.asks(), self.state / "logs" / "airflow-scheduler.log"
        waiting = ("TaskInstance Finished", f"run_id={run.run_id}", "state=awaiting_input")
        wait(lambda: any(all(word in line for word in waiting) for line in log.read_text().splitlines()), every=0.5)
        return asked

    def pipeline(self, name: str) -> Pipeline:
        """Read a pipeline file."""
        return pipeline_files.load_file(self.project / "include" / "pipelines" / f"{name}.yaml")

    def watermark(self, name: str) -> dict | None:
        """Return the positions of a pipeline's sinks that Airflow remembers."""
        entry = client.login(self.settings).call("GET", path) if (path := self._store(name)) else None
        return entry and entry["value"]

    def remember(self, name: str, watermark: dict | None) -> None:
        """Let Airflow remember other positions; None: forget them."""
        api, path = client.login(self.settings), self._store(name)
        if watermark is None:
            api.call("DELETE", path)
        else:
            api.call("PUT", path, json={"value": watermark})

    def _store(self, name: str) -> str | None:
        """Return where the watermark is in the API; None as long as the asset is not known."""
        api = client.login(self.settings)
        found = api.call("GET", "assets", params={"name_pattern": f"bronze_{name}"})["assets"]
        return f"assets/{found[0]['id']}/state-store/watermark" if found else None

    def sql(self, statement: str, *values: object) -> list[tuple]:
        """Run one statement in Bronze, in a transaction of its own."""
        with psycopg.connect(self.settings["AIRFLOW_CONN_BRONZE"], autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, *rows: Mapping[str, object]) -> None:
        """Write rows to Bronze in one transaction."""
        names = [sql.Identifier(name) for name in rows[0]]
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(names))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})")
        statement = statement.format(sql.Identifier(table), sql.SQL(", ").join(names), marks)
        with psycopg.connect(self.settings["AIRFLOW_CONN_BRONZE"]) as connection:
            connection.cursor().executemany(statement, [list(row.values()) for row in rows])

    def copy(self, table: str, csv: Path) -> None:
        """Fill a table of Bronze from a CSV file."""
        statement = f"COPY {table} FROM STDIN (FORMAT csv, HEADER)"
        with (
            psycopg.connect(self.settings["AIRFLOW_CONN_BRONZE"]) as connection,
            connection.cursor() as cursor,
            cursor.copy(statement) as lines,
        ):
            lines.write(csv.read_bytes())

    def bronze(self, table: str, columns: str = "*") -> dict[Any, dict]:
        """Return the source's rows by their id."""
        with psycopg.connect(self.settings["AIRFLOW_CONN_BRONZE"], row_factory=dict_row) as connection:
            rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
        return {row["id"]: row for row in rows}

    def silver(self, name: str) -> dict[Any, dict]:
        """Return the Snowflake table's rows by their id; none if there is no such table."""
        table = self.pipeline(name).silver.table
        with closing(stack.snowflake.start(self.state).connect()) as connection, connection.cursor() as cursor:
            if not cursor.execute(f"SHOW TERSE TABLES LIKE '{table}'").fetchall():
                return {}
            cursor.execute(f"SELECT * FROM {table}")
            names = [column[0].lower() for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            documents = [column[0].lower() for column in cursor.description if column[1] == VARIANT]
        for row, document in product(rows, documents):
            row[document] = row[document] and json.dumps(json.loads(row[document]))  # as Postgres prints it
        assert len({row["id"] for row in rows}) == len(rows), "a key is there twice"
        return {row["id"]: row for row in rows}

    def gold(self, name: str) -> dict[Any, dict]:
        """Return the Delta table's rows by their id; none if there is no such table."""
        table = self.table(self.pipeline(name).gold.table)
        rows = table.to_pyarrow_table().to_pylist() if table else []
        assert len({row["id"] for row in rows}) == len(rows), "a key is there twice"
        return {row["id"]: row for row in rows}

    def quarantine(self, name: str) -> list[dict]:
        """Return a pipeline's quarantined rows."""
        rows = self.table("quarantine").to_pyarrow_table().to_pylist()
        return [row for row in rows if row["pipeline"] == name]

    def version(self, name: str) -> int:
        """Return the version of the Delta table."""
        return self.table(self.pipeline(name).gold.table).version()

    def table(self, name: str) -> DeltaTable | None:
        """Open a Delta table of the lake; None if there is none of this name."""
        uri, options = f"{self.settings['AWS_URI']}/{name}", {key: self.settings[key] for key in OPTIONS}
        return DeltaTable(uri, storage_options=options) if DeltaTable.is_deltatable(uri, options) else None

    def objects(self) -> dict[str, Callable[[], bytes]]:
        """Return the names of all objects in the lake, each with a way to read it."""
        lake = stack.s3.start(self.state)
        bucket, some = lake.client(), {"Bucket": lake.bucket}
        pages = bucket.get_paginator("list_objects_v2").paginate(**some)
        names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {n: lambda n=n: bucket.get_object(**some, Key=n)["Body"].read() for n in names}

    def issues(self, name: str) -> dict[tuple, list[dict]]:
        """Return the events that reached Sentry about a pipeline, by issue."""
        issues: dict[tuple, list[dict]] = {}
        for event in self.sentry.events:
            if event["tags"].get("dag_id") == f"medallion_{name}":
                issues.setdefault(tuple(event["fingerprint"]), []).append(event)
        return issues


def wait(what: Callable[[], Any], seconds: float = 60, every: float = 0.2) -> Any:
    """Return what a call returns as soon as that is truthy."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(every)
    return found


def text(parquet: bytes) -> str:
    """Return all that a Parquet file holds."""
    return str(pq.read_table(pa.BufferReader(parquet)).to_pylist())
