"""
What containers of `docker-compose.yaml` do of `make demo`: a certificate, sample rows, one run.

    python -m include.sandbox.containers --help

All settings come from the environment, as for Airflow's own services.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import typer

from include.medallion.config import files as pipeline_files
from include.medallion.config.connections import read_connection
from include.sandbox import client, layers, rows, snowflake, summary
from include.sandbox.postgres import Postgres

CODE = Path("/opt/airflow")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


@app.command("certificate")
def make_certificate(file: Path, bundle: Path, names: list[str]) -> None:
    """Make a server's key and certificate for these names, and the bundle that trusts it, unless they are there."""
    snowflake.certificate(file, bundle, names)


@app.command("rows")
def load_rows(number: int, truth: Path) -> None:
    """Let Bronze hold so many sample employees."""
    server, database = bronze(os.environ)
    print(f"{rows.load(server, database, number, truth):,} sample rows added")


@app.command()
def demo(name: str, truth: Path) -> None:
    """Run a pipeline once, wait for it and show what came out."""
    pipeline, api = pipeline_files.find_pipeline(name), client.login(os.environ)
    client.await_dag(api, pipeline.dag_id, CODE, seconds=300)
    run_id = client.trigger(api, pipeline.dag_id, {})
    state = client.watch(api, pipeline.dag_id, run_id, print, seconds=3600)
    print(f"\n{pipeline.dag_id}: {state}\n")
    if state != "success":
        print(*client.failures(api, pipeline.dag_id, run_id), sep="\n")
        raise typer.Exit(1)
    done = client.summary(api, pipeline.dag_id, run_id)
    print(*(summary.work(done) if done else ["  nothing new: no row changed since the last run"]), "", sep="\n")
    print(*layers.layers(pipeline, os.environ, truth), "", sep="\n")
    print(*summary.timings(client.tasks(api, pipeline.dag_id, run_id)), sep="\n")


def bronze(environ: Mapping[str, str]) -> tuple[Postgres, str]:
    """Return the source's server, and the database in it."""
    given = read_connection("bronze", environ)
    return Postgres(given.host, given.port, given.login, given.password), given.schema


if __name__ == "__main__":
    app()
