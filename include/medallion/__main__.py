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

from include.medallion import pipeline as pipelines
from include.medallion.discretion import discreet
from include.medallion.errors import MedallionError, Refused

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
Batch = Annotated[int, typer.Argument(help="id of a staged batch (see `batches`)")]
Rows = Annotated[int, typer.Option(min=0, help="rows to show")]
TEMPORARY_FAILURE = 75  # sysexits.h: try again later


@app.command()
def check(files: Annotated[list[Path] | None, typer.Argument(help="default: all pipeline files")] = None) -> None:
    """Check pipeline files."""
    with _readable():
        for file in files or pipelines.files():
            pipelines.load(file)
            print(f"{file}: good")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a pipeline file, for editors."""
    print(json.dumps(pipelines.json_schema(), indent=2))


@app.command()
def watermark(name: Name) -> None:
    """Show what each sink holds and what the next run would read."""
    from include.medallion import gold, run

    with _opened(name) as (pipeline, connections):
        position = run.silver_position(pipeline, connections)
        window = run.begin(pipeline, connections, position)
        held = gold.held(connections.lake, pipeline, window.source)
        for sink, at in (("Silver", position), ("Gold", held)):
            print(f"{sink:<7} holds " + (f"transactions below {at.upto} (batch {at.batch_id})" if at else "nothing"))
        print(f"next    [{window.after}, {window.upto})  {window.lag} transactions wait for one that is still open")


@app.command()
def run(
    name: Name,
    full_refresh: Annotated[bool, typer.Option(help="read everything, replace both sinks")] = False,
    max_rows: Annotated[int | None, typer.Option(min=1, help="a trial: leaves the watermark")] = None,
) -> None:
    """Bring one batch from source to sinks in this process."""
    from include.medallion import reckoning
    from include.medallion import run as batch

    with _opened(name) as (pipeline, connections):
        wishes = batch.wishes({"full_refresh": full_refresh, "max_rows": max_rows})
        summary = batch.run(pipeline, connections, **wishes)
        print(reckoning.line(summary) if summary else "nothing new")


@app.command()
def reconcile(name: Name) -> None:
    """Compare source and sinks by key and version; apply deletes of the source to both sinks."""
    from include.medallion import reconcile as core
    from include.medallion.reconcile_report import check, line

    with _opened(name) as (pipeline, connections):
        report = core.reconcile(pipeline, connections)
        print(line(report) if report else "a sink holds nothing yet: nothing to compare")
        if report:
            check(report)


@app.command()
def batches(name: Name) -> None:
    """List the staged batches: the archive."""
    from include.medallion import archive

    with _opened(name) as (_, connections):
        for batch_id in archive.batches(connections.lake, name):
            window = archive.window(connections.lake, name, batch_id)
            rows = sum(part.rows for part in archive.parts(connections.lake, window))
            print(f"{batch_id}  {window.mode:<8} [{window.after}, {window.upto})  {rows:,} rows")


@app.command()
def extract(name: Name) -> None:
    """Open a window and stage its rows; loads nothing."""
    from include.medallion import run as batch

    with _opened(name) as (pipeline, connections):
        window = batch.begin(pipeline, connections, batch.silver_position(pipeline, connections))
        parts = batch.read(pipeline, connections, window)
        print(
            f"batch {window.batch_id}: {sum(p.rows for p in parts):,} rows in {len(parts)} parts"
            if parts
            else "nothing new"
        )


@app.command()
def enrich(name: Name, batch_id: Batch) -> None:
    """Enrich the parts of a staged batch (again)."""
    from include.medallion import archive
    from include.medallion import run as batch

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        for part in archive.parts(connections.lake, window):
            print(json.dumps(batch.look_up(pipeline, connections, window, part).to_json()))


@app.command()
def load_silver(name: Name, batch_id: Batch) -> None:
    """Load a staged, enriched batch into Snowflake (again)."""
    from include.medallion import archive
    from include.medallion import run as batch

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        answered = archive.enriched(connections.lake, window)
        print(json.dumps(batch.load(pipeline, connections, window, answered).to_json()))


@app.command()
def write_gold(name: Name, batch_id: Batch) -> None:
    """Write a staged, enriched batch to the Delta table (again)."""
    from include.medallion import archive
    from include.medallion import run as batch

    with _opened(name) as (pipeline, connections):
        window = archive.window(connections.lake, name, batch_id)
        answered = archive.enriched(connections.lake, window)
        print(json.dumps(batch.write(pipeline, connections, window, answered).to_json()))


@app.command()
def gold(name: Name, rows: Rows = 5) -> None:
    """Show the Gold table: version, rows, schema, the first rows."""
    with _opened(name) as (pipeline, connections):
        _show(connections.lake, pipeline.gold.table, rows)


@app.command()
def quarantine(name: Name, rows: Rows = 5) -> None:
    """Show the rows that were set aside, with their reasons."""
    from include.medallion.quarantine import TABLE

    with _opened(name) as (_, connections):
        _show(connections.lake, TABLE, rows, only=("pipeline", name))


def _show(lake: object, table: str, rows: int, only: tuple[str, str] | None = None) -> None:
    import pyarrow.compute as pc

    from include.medallion.delta import dataset, open_table

    found = open_table(lake, table)
    if found is None:
        print(f"{table}: there is no such table yet")
        return
    data, matching = dataset(lake, table, found), pc.field(only[0]) == only[1] if only else None
    print(f"{found.table_uri}  version {found.version()}, {data.count_rows(filter=matching):,} rows\n{data.schema}\n")
    for row in data.head(rows, filter=matching).to_pylist():
        print(json.dumps(row, default=str, ensure_ascii=False))


@contextmanager
def _opened(name: str) -> Iterator[tuple]:
    from include.medallion import environment

    with _readable(), discreet():
        pipeline = pipelines.find(name)
        yield pipeline, environment.connections(pipeline, os.environ)


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
