"""One table on its way through a whole batch: a source, a pipeline, and what has arrived."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
from typer.testing import CliRunner

from include.medallion.__main__ import app
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake import delta
from include.medallion.lake.object_store import open_lake
from include.medallion.model.columns import snowflake_name
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.commit import commit
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.open_window import open_window, read_positions
from include.medallion.steps.run import run
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.sinks import open_sinks

ROOT = Path(__file__).parents[2]


class OneTable:
    """
    A pipeline over one table of a real Postgres, into a real Delta log and a Snowflake-protocol server.

    Args:
        source: the pipeline's source block.
        enrich: its enrich block; by default postcodes of column `postcode`.
        settings: other blocks of its pipeline.
    """

    def __init__(self, dsn, lake_uri, lake, silver, source, enrich=None, **settings):
        self.dsn = dsn
        self.account = silver
        self.pipeline = Pipeline.model_validate(
            {
                "name": "one",
                "source": source,
                "enrich": enrich or {"geocode": {"postcode": "postcode", "country": "US"}},
                "silver": {"table": "ONE"},
                "gold": {"table": "one"},
                **settings,
            }
        )
        self.connections = connection_settings.Connections(dsn, silver.connect, open_lake(lake_uri, lake.options), {})

    def set(self, **settings):
        """Change blocks of the pipeline file."""
        written = self.pipeline.model_dump(by_alias=True, exclude_none=True)
        self.pipeline = Pipeline.model_validate(written | settings)

    def sql(self, *statements):
        """Run statements, each in a transaction of its own; return the rows of the last."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def run(self, **options):
        """Bring one batch to both sinks; return its summary."""
        return run(self.pipeline, self.connections, RunOptions(**options))

    def begin(self, remembered=None, **options):
        """Open a window; `remembered` are positions that no sink is asked for."""
        return open_window(self.pipeline, self.connections, RunOptions(**options), remembered)

    def sink(self, name):
        """Open one of the pipeline's sinks."""
        return next(sink for sink in open_sinks(self.pipeline, self.connections) if sink.name == name)

    def positions(self):
        """Return what each sink holds, by its name."""
        return read_positions(open_sinks(self.pipeline, self.connections), self.begin().source, {})

    def extract(self, window):
        """Stage a window's rows; return the parts."""
        return extract(self.pipeline, self.connections, window)

    def enrich(self, window, part=0, parallel=1):
        """Enrich one part of a staged batch."""
        return enrich(self.pipeline, self.connections, window, part, parallel)

    def stage(self, window):
        """Stage and enrich a window's rows; return the enriched parts."""
        return [self.enrich(window, part.number) for part in self.extract(window)]

    def apply(self, window, sink):
        """Apply a staged and enriched batch to one sink."""
        return apply_batch(self.pipeline, self.connections, window, sink)

    def commit(self, window):
        """Check a batch's row counts; return the summary."""
        return commit(self.pipeline, self.connections.lake, window)

    def environ(self, folder):
        """Return the environment of a program that knows this pipeline; its file is put into a folder."""
        document = self.pipeline.model_dump_json(by_alias=True, exclude={"name"}, exclude_none=True)
        (folder / "one.yaml").write_text(document)
        lake = self.connections.lake
        settings = {**lake.options, "AWS_URI": lake.root, "MEDALLION_PIPELINES": str(folder)}
        connections = {"AIRFLOW_CONN_BRONZE": self.dsn}
        if self.pipeline.silver:
            connections["AIRFLOW_CONN_SILVER"] = self.account.airflow()
        return {**os.environ, **settings, **connections}

    def shell(self, folder, *words):
        """Run `python -m include.medallion` with these words; return the process once it has ended."""
        command = [sys.executable, "-m", "include.medallion", *words]
        return subprocess.run(command, env=self.environ(folder), cwd=ROOT, capture_output=True, text=True, check=False)

    def command(self, folder, *words):
        """Run a command as `shell` does, but in this process: for a test of many of them."""
        done = CliRunner().invoke(app, words, env=self.environ(folder), catch_exceptions=False)
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    def gold(self):
        """Return Gold's rows in the order of the first key column."""
        return self._ordered(self._delta(self.pipeline.gold.table))

    def quarantine(self):
        """Return the rows set aside, in the order of their keys."""
        return sorted(self._delta("quarantine"), key=lambda r: r["key"])

    def silver(self):
        """Return Silver's rows, under the names that the columns have in the source."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self.pipeline.silver.table}")
            there = {snowflake_name(name): name for name in self.gold_names()}
            names = [there[d[0]] for d in cursor.description]
            return self._ordered([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])

    def gold_names(self):
        """Return the names of Gold's columns."""
        return self.open(self.pipeline.gold.table).to_pyarrow_table().column_names

    def open(self, table):
        """Open a Delta table of the lake; None if there is none."""
        return delta.open_table(self.connections.lake, table)

    def _delta(self, table):
        return self.open(table).to_pyarrow_table().to_pylist()

    def _ordered(self, rows):
        return sorted(rows, key=lambda row: [str(row[name]) for name in self.pipeline.key])
