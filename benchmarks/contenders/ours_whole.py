"""The core in one process, source to both sinks: what a DAG run does, without Airflow; stage by stage what it took."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

begun = float(os.environ["BENCH_BEGUN"])  # when the parent started this process

from include.medallion.config import connections as connection_settings  # noqa: E402 (the clock first)
from include.medallion.config.pipeline import Pipeline  # noqa: E402
from include.medallion.steps import run  # noqa: E402 (the clock first)

stages: dict[str, float] = {"imports": time.time() - begun}


def main(task: dict) -> dict:
    """Bring one batch to Silver and Gold."""
    pipeline = Pipeline.model_validate(task["pipeline"])
    connections = connection_settings.open_connections(pipeline, os.environ)
    with timed("open_window"):
        window = run.open_window(pipeline, connections, run.silver_position(pipeline, connections))
    with timed("extract"):
        parts = run.extract(pipeline, connections, window)
    with timed("enrich"):
        answered = [run.enrich(pipeline, connections, window, part) for part in parts]
    with timed("load_silver"):
        run.load_silver(pipeline, connections, window, answered)
    with timed("write_gold"):
        run.write_gold(pipeline, connections, window, answered)
    return {"stages": stages, "look_ups": sum(a.keys - a.cached for a in answered)}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Take the time of one stage."""
    start = time.perf_counter()
    yield
    stages[stage] = time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
