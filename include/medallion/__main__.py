"""
Every stage of a pipeline alone, without Airflow.

Settings come from the environment, as Airflow reads them (`AIRFLOW_CONN_*`,
`AWS_*`, `AWS_URI`); with the sandbox up: `env $(cat .sandbox/env) python -m include.medallion ...`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from include.medallion.config import files as pipeline_files
from include.medallion.errors import MedallionError, Refused
from include.medallion.redaction.library_errors import redact_library_errors

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
Batch = Annotated[int, typer.Argument(help="id of a staged batch (see `batches`)")]
Rows = Annotated[int, typer.Option(min=0, help="rows to show")]
TEMPORARY_FAILURE = 75  # sysexits.h: try again later


@app.command()
def check(files: Annotated[list[Path] | None, typer.Argument(help="default: all pipeline files")] = None) -> None:
    """Check pipeline files."""
    with _readable():
        for file in files or pipeline_files.pipeline_files():
            pipeline_files.load_file(file)
            print(f"{file}: good")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a pipeline file, for editors."""
    print(json.dumps(pipeline_files.json_schema(), indent=2))


@app.command()
def watermark(name: Name) -> None:
    """Show what each sink holds and what the next run would read."""
    from include.medallion.gold import sink as gold_sink
    from include.medallion.steps import run

    with _opened(name) as (pipeline, connections):
        position = run.silver_position(pipeline, connections)
        window = run.open_window(pipeline, connections, position)
        held = gold_sink.read_position(connections.lake, pipeline, window.source)
        for sink, at in (("Silver", position), ("Gold", held)):
            print(f"{sink:<7} holds " + (f"transactions below {at.upto} (batch {at.batch_id})" if at else "nothing"))
        print(f"next    [{window.after}, {window.upto})  {window.lag} transactions wait for one that is still open")


@app.command()
def run(
    name: Name,
    full_refresh: Annotated[bool, typer.Option(help="read everything, replace both sinks")] = False,
    max_rows: Annotated[int | None, typer.Option(min=1, help="a trial: leaves the watermark")] = None,
    refresh_lookups: Annotated[bool, typer.Option(help="ask anew for PENDING and too old answers")] = False,
    replay_quarantine: Annotated[bool, typer.Option(help="read the rows in quarantine again")] = False,
) -> None:
    """Bring one batch from source to sinks in this process."""
    from include.medallion.steps import row_counts, run, run_options

    wished = {"full_refresh": full_refresh, "max_rows": max_rows}
    wished |= {"refresh_lookups": refresh_lookups, "replay_quarantine": replay_quarantine}
    with _opened(name) as (pipeline, connections):
        summary = run.run(pipeline, connections, **run_options.parse_run_options(wished))
        print(row_counts.summary_line(summary) if summary else "nothing new")


@app.command()
def reconcile(name: Name) -> None:
    """Compare source and sinks by key and version; apply deletes of the source to both sinks."""
    from include.medallion.model.differences import check_nothing_lost, summary_line
    from include.medallion.ops import reconcile

    with _opened(name) as (pipeline, connections):
        report = reconcile.reconcile(pipeline, connections)
        print(summary_line(report) if report else "a sink holds nothing yet: nothing to compare")
        if report:
            check_nothing_lost(report)


@app.command()
def batches(name: Name) -> None:
    """List the staged batches: the archive."""
    from include.medallion.staging import archive

    with _opened(name) as (_, connections):
        for batch_id in archive.batches(connections.lake, name):
            window = archive.window(connections.lake, name, batch_id)
            rows = sum(part.rows for part in archive.parts(connections.lake, window))
            print(f"{batch_id}  {window.mode:<8} [{window.after}, {window.upto})  {rows:,} rows")


@app.command()
def extract(name: Name) -> None:
    """Open a window and stage its rows; loads nothing."""
    from include.medallion.steps import run

    with _opened(name) as (pipeline, connections):
        window = run.open_window(pipeline, connections, run.silver_position(pipeline, connections))
        parts = run.extract(pipeline, connections, window)
        print(
            f"batch {window.batch_id}: {sum(p.rows for p in parts):,} rows in {len(parts)} parts"
            if parts
            else "nothing new"
        )


@app.command()
def enrich(name: Name, batch_id: Batch) -> None:
    """Enrich the parts of a staged batch (again)."""
    from include.medallion.staging import archive
    from include.medallion.steps import run

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        for part in archive.parts(connections.lake, window):
            print(json.dumps(run.enrich(pipeline, connections, window, part).to_json()))


@app.command()
def load_silver(name: Name, batch_id: Batch) -> None:
    """Load a staged, enriched batch into Snowflake (again)."""
    from include.medallion.staging import archive
    from include.medallion.steps import run

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        answered = archive.enriched(connections.lake, window)
        print(json.dumps(run.load_silver(pipeline, connections, window, answered).to_json()))


@app.command()
def write_gold(name: Name, batch_id: Batch) -> None:
    """Write a staged, enriched batch to the Delta table (again)."""
    from include.medallion.staging import archive
    from include.medallion.steps import run

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        answered = archive.enriched(connections.lake, window)
        print(json.dumps(run.write_gold(pipeline, connections, window, answered).to_json()))


@app.command()
def gold(name: Name, rows: Rows = 5) -> None:
    """Show the Gold table: version, rows, schema, the first rows."""
    from include.medallion.lake.preview import preview

    with _opened(name) as (pipeline, connections):
        preview(connections.lake, pipeline.gold.table, rows)


@app.command()
def quarantine(name: Name, rows: Rows = 5) -> None:
    """Show the rows that were set aside, with their reasons."""
    from include.medallion.lake.preview import preview
    from include.medallion.quarantine.table import TABLE

    with _opened(name) as (_, connections):
        preview(connections.lake, TABLE, rows, only=("pipeline", name))


@app.command()
def calls(name: Name) -> None:
    """Show the account of paid look-ups of a pipeline: calls by provider, day and batch."""
    from include.medallion.lake.preview import preview
    from include.medallion.lookups.usage_ledger import TABLE

    with _opened(name) as (_, connections):
        preview(connections.lake, TABLE, rows=1000, only=("pipeline", name))


@app.command()
def maintain(name: Name) -> None:
    """Tend what runs left behind: Gold's files, the archive, Silver's ledger."""
    from datetime import UTC, datetime

    from include.medallion.ops import maintenance

    with _opened(name) as (pipeline, connections):
        done = maintenance.maintain(pipeline, connections, maintenance.retention(os.environ), datetime.now(UTC))
        print(maintenance.summary_line(done))


@contextmanager
def _opened(name: str) -> Iterator[tuple]:
    from include.medallion.config import connections as connection_settings

    with _readable(), redact_library_errors():
        pipeline = pipeline_files.find_pipeline(name)
        yield pipeline, connection_settings.open_connections(pipeline, os.environ)


@contextmanager
def _readable() -> Iterator[None]:
    """Say a failure in one line: exit 1 if a person must act, 75 if it may pass."""
    try:
        yield
    except MedallionError as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        raise typer.Exit(1 if isinstance(e, Refused) else TEMPORARY_FAILURE) from None


if __name__ == "__main__":
    app(prog_name="python -m include.medallion")
