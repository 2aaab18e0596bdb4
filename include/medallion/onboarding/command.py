"""The shell's commands `init` and `plan`: they print, and choose the exit code."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from include.medallion.config.files import pipelines_folder
from include.medallion.ops.shell.opened import failures_in_one_line, opened
from include.medallion.redaction.library_errors import redact_library_errors

Table = Annotated[str, typer.Argument(metavar="TABLE", help="public.customers, or a pattern: 'public.*'")]
Connection = Annotated[str, typer.Option(help="Airflow connection of the source database")]
PipelineName = Annotated[str, typer.Option("--name", help="name of the pipeline; default: the table's")]
Force = Annotated[bool, typer.Option("--force", help="replace pipeline files that are there")]
Then = Annotated[str, typer.Option(hidden=True, help="the next command, with {name}")]
Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
Form = Annotated[Literal["text", "json"], typer.Option("--format", help="text or json")]


def init(
    context: typer.Context,
    table: Table,
    connection: Connection = "bronze",
    name: PipelineName = "",
    force: Force = False,
    then: Then = "",
) -> None:
    """Write a pipeline file for a table of the source, from its columns and a sample of its rows."""
    from include.medallion.onboarding.init import Order, draft_files

    written = []
    with failures_in_one_line(), redact_library_errors():
        for outcome in draft_files(table, Order(connection, pipelines_folder(), force, name), os.environ):
            print(*outcome.lines, sep="\n", flush=True)
            written += [outcome.pipeline] if outcome.pipeline else []
    if not written:
        raise typer.Exit(1)
    print("next:", (then or f"{context.find_root().command_path} plan {{name}}").format(name=written[0]))


def plan(name: Name, form: Form = "text") -> None:
    """
    Say what the next run would read, change and pay; change nothing.

    Exit code 0: it would start; 1: it would be refused; 3: it would ask for an approval; 75: something is unreachable.
    """
    from include.medallion.config.connections import read_connection
    from include.medallion.onboarding.inspect import describe_server
    from include.medallion.onboarding.plan.gather import make_plan
    from include.medallion.onboarding.plan.report import EXIT_CODES
    from include.medallion.onboarding.plan.text import lines

    with opened(name) as (pipeline, connections):
        info = read_connection(pipeline.source.connection, os.environ)
        made = make_plan(pipeline, connections, describe_server(pipeline.source.connection, info))
    code = EXIT_CODES[made.gravest]
    document = {**asdict(made), "result": str(made.gravest), "exit_code": code}
    print(json.dumps(document, indent=2) if form == "json" else "\n".join(lines(made)))
    raise typer.Exit(code)
