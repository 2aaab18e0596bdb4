"""The sandbox's commands, as the Makefile calls them: `python -m include.sandbox --help`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from include.medallion.config import files as pipeline_files
from include.medallion.config import pipeline as pipeline_model
from include.medallion.errors import MedallionError
from include.sandbox import client, settings, stack, summary
from include.sandbox import query as queries
from include.sandbox.errors import SandboxError

NOT_UP = 2
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
Rows = Annotated[int, typer.Option(help="sample employees that Bronze shall hold at least")]
Pipe = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a file in include/pipelines")]
begun = time.monotonic()


@app.command()
def up(rows: Rows = 10_000) -> None:
    """Start everything and leave it running."""
    with stack.alone(stack.STATE):
        chosen = stack.up(stack.STATE, _say, rows)
    print(f"\nAirflow  {chosen['AIRFLOW_URL']}  user {chosen['AIRFLOW_USER']}, password {chosen['AIRFLOW_PASSWORD']}")
    print("make run PIPELINE=employees    one run of a pipeline\nmake down                      stop everything")
    _further()


@app.command()
def down() -> None:
    """Stop everything; the data stays."""
    stack.down(stack.STATE, _say)


@app.command()
def demo(rows: Rows = 10_000) -> None:
    """Start everything, run the employees pipeline once, show what came out, and stop what was started."""
    with stack.alone(stack.STATE):
        was_up = all(stack.running(stack.STATE).values())
        try:
            settings.join(stack.up(stack.STATE, _say, rows))
            ended_well = _run("employees")
        finally:
            if not was_up:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would leave servers behind
                stack.down(stack.STATE, _say)
    raise typer.Exit(0 if ended_well else 1)


@app.command()
def run(pipeline: Pipe) -> None:
    """Trigger one run, wait for it and show what came out."""
    try:
        stack.servers(stack.STATE)
    except SandboxError as e:
        print(e, file=sys.stderr)
        raise typer.Exit(NOT_UP) from None
    settings.join(settings.read(stack.STATE))
    raise typer.Exit(0 if _run(pipeline) else 1)


@app.command()
def status() -> None:
    """Tell what runs; exit 0 if all of it does."""
    alive = stack.running(stack.STATE)
    for name, runs in alive.items():
        print(f"{name:<24} {'runs' if runs else 'does not run'}")
    raise typer.Exit(0 if all(alive.values()) else NOT_UP)


@app.command(context_settings={"ignore_unknown_options": True})
def env(command: Annotated[list[str] | None, typer.Argument(help="a program to run with the settings")] = None) -> None:
    """Print the settings with which a program joins the sandbox, or run one with them."""
    chosen = settings.read(stack.STATE)
    if command:
        os.execvpe(command[0], command, settings.process_environment(chosen))
    print("\n".join(f"{key}={value}" for key, value in chosen.items()))


@app.command()
def query(layer: Annotated[str, typer.Argument(help="bronze, silver or gold")], statement: str) -> None:
    """Look into a layer by SQL."""
    servers = stack.servers(stack.STATE)
    settings.join(settings.read(stack.STATE))
    print(*queries.ask(layer, servers, os.environ["AWS_URI"], statement), sep="\n")


def _run(name: str) -> bool:
    """Run a pipeline once and print the outcome; tell whether it ended well."""
    pipeline = pipeline_files.find_pipeline(name)
    api = client.login(os.environ)
    _say(f"running {pipeline.dag_id}")
    client.await_dag(api, pipeline.dag_id, stack.ROOT)
    run_id = client.trigger(api, pipeline.dag_id, {})
    state = client.watch(api, pipeline.dag_id, run_id, print, seconds=3600)
    page = f"{api.url}/dags/{pipeline.dag_id}/runs/{run_id}"
    if state != "success":
        print(f"\n{pipeline.dag_id}: {state}  {page}\n", *client.failures(api, pipeline.dag_id, run_id), sep="\n")
        return False
    print(f"\n{pipeline.dag_id}: {state}  {page}\n")
    _tell(api, pipeline, run_id)
    return True


def _tell(api: client.Api, pipeline: pipeline_model.Pipeline, run_id: str) -> None:
    told = client.summary(api, pipeline.dag_id, run_id)
    print(*(summary.work(told) if told else ["  nothing new: no row changed since the last run"]), "", sep="\n")
    servers = stack.servers(stack.STATE)
    if elsewhere := settings.elsewhere(servers, os.environ):
        print(f"  {', '.join(elsewhere)} point to your own servers: look there for what arrived")
    else:
        print(*summary.layers(servers, pipeline, os.environ["AWS_URI"], stack.truth(stack.STATE)), sep="\n")
    print("", *summary.timings(client.tasks(api, pipeline.dag_id, run_id)), sep="\n")
    _further()


def _further() -> None:
    print("""
look further, once `make up` has left the sandbox running:
  make query LAYER=bronze SQL="UPDATE employees SET postcode = '98052' WHERE id < 4"
  make run      brings the three rows, and nothing else
  make query LAYER=silver SQL="SELECT geocode_status, count(*) FROM employees_enriched GROUP BY 1"
  make query LAYER=gold SQL="SELECT * FROM locations LIMIT 5"
  make env      every setting, to join from your own programs""")


def _say(line: str) -> None:
    print(f"{time.monotonic() - begun:6.1f} s  {line}", flush=True)


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn what went wrong into one clear message and exit code 1; let other ways to end us be like Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
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
