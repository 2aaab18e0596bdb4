"""The core in one process, source to Gold, with enrichment; stage by stage what it took."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

begun = float(os.environ["BENCH_BEGUN"])  # when the parent started this process

from include.medallion import quarantine, run  # noqa: E402 (the clock first)
from include.medallion.lake import open_lake  # noqa: E402
from include.medallion.pipeline import Pipeline  # noqa: E402
from include.medallion.window import Position  # noqa: E402

stages: dict[str, float] = {"imports": time.time() - begun}
cpu: dict[str, float] = {"imports": time.process_time()}


def main(task: dict) -> dict:
    """Bring one batch to Gold; the position that a DAG keeps in its watermark is kept in a file here."""
    pipeline = Pipeline.model_validate(task["pipeline"])
    connections = run.Connections(task["source"], None, open_lake(task["lake"], task["options"]), {})
    kept = Path(task["state"], "position.json")
    with timed("open_window"):
        position = Position(**json.loads(kept.read_text())) if kept.exists() else None
        window = run.begin(pipeline, connections, position)
    with timed("extract"):
        parts = run.read(pipeline, connections, window)
    answered = []
    with timed("enrich"):
        answered = [run.look_up(pipeline, connections, window, part) for part in parts]
    if parts:
        with timed("quarantine"):
            quarantine.land(connections.lake, window, parts)
        with timed("write_gold"):
            run.write(pipeline, connections, window, answered)
        at = window.position
        kept.write_text(json.dumps({"source": at.source, "upto": at.upto, "batch_id": at.batch_id}))
    return {"stages": stages, "stages_cpu": cpu, "look_ups": sum(a.keys - a.cached for a in answered)}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Take the time of one stage."""
    start, used = time.perf_counter(), time.process_time()
    yield
    stages[stage], cpu[stage] = time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
