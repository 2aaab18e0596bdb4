"""One run of a pipeline in the sandbox's Airflow: trigger it, wait, print what arrived."""

from __future__ import annotations

import os
from pathlib import Path

from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.sandbox import client, settings, stack, summary
from include.sandbox.client import Api, Say

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
    """
    pipeline = pipeline_files.find_pipeline(name)
    api = client.login(os.environ)
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
    servers = stack.servers(state)
    elsewhere = settings.elsewhere(servers, os.environ, pipeline)
    print(*summary.layers(servers, pipeline, os.environ["AWS_URI"], stack.truth(state), elsewhere), sep="\n")
    print("", *summary.timings(client.tasks(api, pipeline.dag_id, run_id)), sep="\n")
    print("", *summary.hints(pipeline, elsewhere), sep="\n")
