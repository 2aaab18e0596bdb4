"""
Every stage of a pipeline alone, without Airflow.

Settings come from the environment, as Airflow reads them (`AIRFLOW_CONN_*`, `AWS_*`, `AWS_URI`). With the sandbox up:
`set -a; . .sandbox/env; set +a; python -m include.medallion ...`.
"""

from __future__ import annotations

if __name__ == "__main__":
    from include.medallion.ops.shell.quick_start import begin_imports

    begin_imports()

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from include.medallion.config.files import json_schema, pipeline_files
from include.medallion.onboarding.command import init, plan
from include.medallion.ops.shell import places, tables
from include.medallion.ops.shell import reconcile as commands
from include.medallion.ops.shell.opened import opened, opened_batch

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
app.command()(init)
app.command()(plan)
app.add_typer(places.app, name="places")
for command in (tables.gold, tables.quarantine, tables.usage):
    app.command()(command)
Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
BatchId = Annotated[int, typer.Argument(help="id of a staged batch (see `batches`)")]


@app.command()
def check(files: Annotated[list[Path] | None, typer.Argument(help="default: all pipeline files")] = None) -> None:
    """
    Check pipeline files, import their functions, and report the mistakes of all of them.

    Where the source can be read, warn of numbers that would arrive as text.
    """
    from include.medallion.config.checks.report import check_files
    from include.medallion.config.checks.validation import load_files
    from include.medallion.enrich.geocoding import check_terms
    from include.medallion.onboarding.plan.numbers import read_text_numbers

    found = check_files(files or pipeline_files(), check_terms)
    for file, problems in found.items():
        print(*(problems or [f"{file}: good"]), sep="\n", file=sys.stderr if problems else sys.stdout)
    for file, pipeline in load_files(file for file, problems in found.items() if not problems).items():
        notes = [] if isinstance(pipeline, Exception) else read_text_numbers(pipeline, os.environ)
        print(*(f"{file}: WARNING: {note}\n" for note in notes), sep="", end="")
    if any(found.values()):
        raise typer.Exit(1)


@app.command()
def schema(
    defaults: Annotated[bool, typer.Option("--defaults", help="of _defaults.yaml, which pipeline files share")] = False,
) -> None:
    """Print the JSON Schema of a pipeline file, for editors."""
    from include.medallion.config.defaults import defaults_schema

    print(json.dumps(defaults_schema() if defaults else json_schema(), indent=2))


@app.command()
def watermark(name: Name) -> None:
    """Show what each sink holds and what the next run would read."""
    from include.medallion.steps.log.slots import describe_slot
    from include.medallion.steps.open_window import open_window, read_positions
    from include.medallion.steps.sinks import open_sinks

    with opened(name) as (pipeline, connections):
        window = open_window(pipeline, connections)
        for sink, at in read_positions(open_sinks(pipeline, connections), window.source, {}).items():
            print(f"{sink:<7} holds " + (f"transactions below {at.upto} (batch {at.batch_id})" if at else "nothing"))
        print(f"next    [{window.after}, {window.upto})  {window.lag} transactions wait for one that is still open")
        for line in describe_slot(pipeline, connections, window):
            print(line)


@app.command()
def run(
    name: Name,
    full_refresh: Annotated[bool, typer.Option(help="read everything, replace all sinks")] = False,
    max_rows: Annotated[int | None, typer.Option(min=1, help="a trial: does not advance the watermark")] = None,
    refresh_lookups: Annotated[bool, typer.Option(help="look up PENDING and expired results again")] = False,
    replay_quarantine: Annotated[bool, typer.Option(help="read the quarantined rows again")] = False,
    approve_schema_change: Annotated[bool, typer.Option(help="apply a schema change that was stopped")] = False,
) -> None:
    """Bring one batch from source to sinks in this process."""
    from include.medallion.ops.log import finish_log
    from include.medallion.runs.record import record_run
    from include.medallion.steps.run import run as run_batch
    from include.medallion.steps.run_options import parse_run_options
    from include.medallion.steps.summary.row_counts import summary_line

    options = {"full_refresh": full_refresh, "max_rows": max_rows}
    options |= {"refresh_lookups": refresh_lookups, "replay_quarantine": replay_quarantine}
    options |= {"approve_schema_change": approve_schema_change}
    with opened(name) as (pipeline, connections):
        summary = run_batch(pipeline, connections, parse_run_options(options))
        if summary:
            record_run(connections.lake, summary)
        print(summary_line(summary) if summary else "nothing new")
        print(*(f"WARNING: {w}\n" for w in (summary.warnings if summary else ())), sep="", end="", file=sys.stderr)
        finish_log(pipeline, connections, summary)


app.command()(commands.reload)
app.command()(commands.reconcile)


@app.command()
def batches(name: Name) -> None:
    """List the staged batches (the archive), incomplete ones included."""
    from include.medallion.staging.archive import list_batches

    with opened(name) as (_, connections):
        for batch in list_batches(connections.lake, name):
            window = batch.window
            what = f"{window.mode:<10} [{window.after}, {window.upto})" if window else "unknown"
            rows = "" if batch.rows is None else f"  {batch.rows:,} rows"
            print(f"{batch.batch_id}  {what}{rows}  {batch.state}")


@app.command()
def extract(name: Name) -> None:
    """Open a window and stage its rows; loads nothing."""
    from include.medallion.steps.extract import extract as stage
    from include.medallion.steps.open_window import open_window

    with opened(name) as (pipeline, connections):
        window = open_window(pipeline, connections)
        parts = stage(pipeline, connections, window)
        rows = sum(p.rows for p in parts)
        print(f"batch {window.batch_id}: {rows:,} rows in {len(parts)} parts" if parts else "nothing new")


@app.command()
def enrich(name: Name, batch_id: BatchId) -> None:
    """Enrich the parts of a staged batch (again)."""
    from include.medallion.staging.records.manifests import read_extracted
    from include.medallion.steps.enrich import enrich as enrich_part
    from include.medallion.steps.summary.row_counts import part_summary_line

    with opened_batch(name, batch_id) as (pipeline, connections, window):
        for part in read_extracted(connections.lake, window):
            print(part_summary_line(enrich_part(pipeline, connections, window, part.number)))


@app.command()
def load_silver(name: Name, batch_id: BatchId) -> None:
    """Load a staged, enriched batch into Snowflake (again)."""
    apply(name, batch_id, "silver")


@app.command()
def write_gold(name: Name, batch_id: BatchId) -> None:
    """Write a staged, enriched batch to the Delta table (again)."""
    apply(name, batch_id, "gold")


@app.command()
def apply(
    name: Name,
    batch_id: BatchId,
    sink: Annotated[str, typer.Argument(help="`silver`, `gold`, or a sink under `sinks:` of the pipeline file")],
) -> None:
    """Apply a staged, enriched batch to one sink (again)."""
    from include.medallion.steps.apply import apply_batch

    with opened_batch(name, batch_id) as (pipeline, connections, window):
        print(json.dumps(asdict(apply_batch(pipeline, connections, window, sink))))


@app.command()
def maintain(name: Name) -> None:
    """Compact, vacuum and apply retention: the sinks, staged batches, the ledger."""
    from datetime import UTC, datetime

    from include.medallion.ops.maintenance import maintain as maintain_pipeline
    from include.medallion.ops.maintenance import retention

    with opened(name) as (pipeline, connections):
        print(maintain_pipeline(pipeline, connections, retention(os.environ, datetime.now(UTC))))


if __name__ == "__main__":
    app(prog_name="python -m include.medallion")
