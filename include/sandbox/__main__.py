"""The sandbox's commands, as the Makefile calls them: `python -m include.sandbox --help`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from include.medallion.config import files as pipeline_files
from include.medallion.errors import MedallionError
from include.sandbox import interrupt, one_run, settings, stack, summary
from include.sandbox import query as queries
from include.sandbox.errors import SandboxError

NOT_UP = 2
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
Rows = Annotated[int, typer.Option(help="minimum number of sample employees in Bronze")]
Pipe = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a file in include/pipelines")]
Layer = Annotated[str, typer.Argument(help=", ".join(queries.LAYERS))]
Form = Annotated[str, typer.Option("--format", help=", ".join(queries.FORMATS))]
begun = time.monotonic()


@app.command()
def up(rows: Rows = 10_000) -> None:
    """Start everything and leave it running."""
    with stack.alone(stack.STATE), interrupt.all_or_none(stack.STATE, _say):
        chosen = stack.up(stack.STATE, _say, rows)
    print(f"\nAirflow  {chosen['AIRFLOW_URL']}  user {chosen['AIRFLOW_USER']}, password {chosen['AIRFLOW_PASSWORD']}")
    if mine := sorted(settings.picked(os.environ)):
        print(f"from your shell: {', '.join(mine)}")
    settings.join(chosen)
    print(*_next_steps(), sep="\n")


def _next_steps() -> Iterator[str]:
    """Yield what can be run now; which pipelines lack a connection, and which files are wrong."""
    valid = {pipeline.name: pipeline for pipeline in pipeline_files.valid_pipelines()}
    for pipeline in valid.values():
        for name, variable in settings.connections(pipeline).items():
            if variable not in os.environ:
                yield f"pipeline {pipeline.name} needs connection {name}: export {variable} and run `make up` again"
    if len(valid) < len(pipeline_files.pipeline_files()):
        yield "some pipeline files are wrong: .venv/bin/python -m include.medallion check"
    servers = stack.servers(stack.STATE)
    sample = [p for p in valid.values() if p.name == summary.SAMPLE and settings.is_sample(os.environ, servers, p)]
    others = [pipeline for name, pipeline in valid.items() if name != summary.SAMPLE]
    for pipeline in [*sample, *others]:
        yield f"make run PIPELINE={pipeline.name}    one run of a pipeline"
    yield from ("make down    stop everything", "")
    if shown := (*sample, *others)[:1]:
        yield from summary.hints(shown[0], is_sample=bool(sample))


@app.command()
def servers(rows: Rows = 10_000) -> None:
    """Start Postgres, S3 and the Snowflake stand-in, without Airflow."""
    with stack.alone(stack.STATE), interrupt.all_or_none(stack.STATE, _say):
        stack.serve(stack.STATE, _say, rows)
    print("""
set -a; . .sandbox/env; set +a                          join the servers from a shell, then:
.venv/bin/python -m include.medallion run employees     one run of a pipeline, without Airflow
make query LAYER=bronze SQL="SELECT * FROM employees LIMIT 5" FORMAT=json
make down                                               stop the servers; the data stays""")


@app.command()
def down() -> None:
    """Stop everything; the data stays."""
    stack.down(stack.STATE, _say)


@app.command()
def demo(rows: Rows = 10_000) -> None:
    """Start everything, run the employees pipeline once, show what came out, and stop what was started."""
    with stack.alone(stack.STATE), interrupt.all_or_none(stack.STATE, _say) as before:
        settings.join(stack.up(stack.STATE, _say, rows))
        succeeded = one_run.run(stack.STATE, summary.SAMPLE, _say)
        stack.down(stack.STATE, _say, keep=before)
    raise typer.Exit(0 if succeeded else 1)


@app.command()
def run(pipeline: Pipe) -> None:
    """Trigger one run, wait for it and show what came out."""
    try:
        stack.require_airflow(stack.STATE)
    except SandboxError as e:
        print(e, file=sys.stderr)
        raise typer.Exit(NOT_UP) from None
    chosen = settings.read(stack.STATE)
    if stale := settings.stale(chosen):
        print(f"not what the sandbox runs with: {', '.join(stale)}: run `make up` again to apply it", file=sys.stderr)
        raise typer.Exit(NOT_UP)
    settings.join(chosen)
    raise typer.Exit(0 if one_run.run(stack.STATE, pipeline, _say) else 1)


@app.command()
def status() -> None:
    """Print what runs; exit 0 if everything does."""
    alive = stack.running(stack.STATE)
    for name, runs in alive.items():
        print(f"{name:<24} {'runs' if runs else 'does not run'}")
    print(*(f"{line}\n" for line in stack.slots(stack.STATE)), sep="", end="")
    raise typer.Exit(0 if all(alive.values()) else NOT_UP)


@app.command(context_settings={"ignore_unknown_options": True})
def env(command: Annotated[list[str] | None, typer.Argument(help="a program to run with the settings")] = None) -> None:
    """Print the settings with which a program joins the sandbox, quoted for a shell, or run a program with them."""
    chosen = settings.read(stack.STATE)
    if command:
        os.execvpe(command[0], command, settings.process_environment(chosen))
    print(settings.lines(chosen), end="")


@app.command(context_settings={"ignore_unknown_options": True})
def medallion(words: Annotated[list[str], typer.Argument(help="a command of include.medallion")]) -> None:
    """Run `python -m include.medallion` with the settings of the sandbox, if it was ever started, and of your shell."""
    known = settings.read(stack.STATE) if (stack.STATE / "env").exists() else {"PYTHONPATH": str(stack.ROOT)}
    if words[0] != "init":  # it asks the source alone
        _note_what_does_not_run()
    program = [sys.executable, "-m", "include.medallion", *words]
    os.execve(sys.executable, program, settings.process_environment(settings.with_callers(known)))


def _note_what_does_not_run() -> None:
    """Say that the sandbox does not run: what is missing or unreachable may be its servers."""
    try:
        stack.servers(stack.STATE)
    except SandboxError as e:
        print(f"note: {e}", file=sys.stderr)


@app.command()
def query(layer: Layer, statement: str, pipeline: str = "employees", form: Form = "text") -> None:
    """Query a layer of a pipeline by SQL, through the pipeline's own connections."""
    stack.servers(stack.STATE)
    settings.join(settings.read(stack.STATE))
    chosen, lines = pipeline_files.find_pipeline(pipeline), queries.formatter(form)
    print(f"asking {queries.server(layer, chosen, os.environ)}", file=sys.stderr)
    for line in lines(queries.ask(layer, chosen, os.environ, statement)):
        print(line)


def _say(line: str) -> None:
    print(f"{time.monotonic() - begun:6.1f} s  {line}", flush=True)


@contextmanager
def _reasons() -> Iterator[None]:
    """Print a failure as one clear message and exit with 1; treat SIGTERM and SIGHUP as Ctrl-C."""
    interrupt.turn_signals_into_interrupts()
    try:
        yield
    except (SandboxError, MedallionError) as e:
        print(f"\n{e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    with _reasons():
        app()
