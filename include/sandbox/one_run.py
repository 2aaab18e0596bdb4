"""One run of a pipeline in the sandbox's Airflow: trigger it, wait, print what arrived."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from include.medallion.config.checks import validation
from include.medallion.config.pipeline import Pipeline
from include.sandbox import client, layers, settings, stack, summary
from include.sandbox.client import Api, Say
from include.sandbox.errors import SandboxError

MINUTES = 60


def run(state: Path, name: str, say: Say) -> bool:
    """
    Run a pipeline once and print the outcome.

    Args:
        state: folder of the sandbox, whose settings this process has joined.
        name: of the pipeline.
        say: is called with each line of progress.

    Returns:
        Whether the run succeeded.

    Raises:
        SettingError: no valid file describes the pipeline.
        SandboxError: Airflow lacks a connection that the pipeline names.
    """
    pipeline = validation.find_checked_pipeline(name)
    api = client.login(os.environ)
    require_connections(api, pipeline, os.environ)
    say(f"running {pipeline.dag_id}")
    client.await_dag(api, pipeline.dag_id, stack.ROOT)
    run_id = client.trigger(api, pipeline.dag_id, {})
    ended = client.watch(api, pipeline.dag_id, run_id, print, seconds=60 * MINUTES)
    print(f"\n{pipeline.dag_id}: {ended}  {api.url}/dags/{pipeline.dag_id}/runs/{run_id}\n")
    if ended != "success":
        print(*client.failures(api, pipeline.dag_id, run_id), sep="\n")
        return False
    _print_summary(state, api, pipeline, run_id)
    return True


def _print_summary(state: Path, api: Api, pipeline: Pipeline, run_id: str) -> None:
    done = client.summary(api, pipeline.dag_id, run_id)
    print(*(summary.work(done) if done else ["  nothing new: no row changed since the last run"]), "", sep="\n")
    sample = pipeline.source.table == summary.SAMPLE and settings.is_sample(os.environ, stack.servers(state), pipeline)
    print(*layers.layers(pipeline, os.environ, stack.truth(state) if sample else None), sep="\n")
    print("", *summary.timings(client.tasks(api, pipeline.dag_id, run_id)), sep="\n")
    print("", *summary.hints(pipeline, is_sample=sample), sep="\n")


def require_connections(api: Api, pipeline: Pipeline, environ: Mapping[str, str]) -> None:
    """
    Check that Airflow has the connections of a pipeline, before a run would try for minutes.

    Args:
        environ: that Airflow was started with.

    Raises:
        SandboxError: names those that are missing, and how to define them.
    """
    for name, variable in settings.connections(pipeline).items():
        if variable not in environ and api.call("GET", f"connections/{name}") is None:
            raise SandboxError(
                f"pipeline {pipeline.name} uses connection {name}, which the sandbox's Airflow does not have: "
                f"export {variable} and run `make up` again, or correct the pipeline file"
            )
