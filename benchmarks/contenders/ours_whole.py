"""The core in one process, source to both sinks: what a DAG run does, without Airflow."""

from __future__ import annotations

import json
import os
import sys

from include.medallion import environment, run
from include.medallion.pipeline import Pipeline


def main(task: dict) -> dict:
    """Bring one batch to Silver and Gold."""
    pipeline = Pipeline.model_validate(task["pipeline"])
    summary = run.run(pipeline, environment.connections(pipeline, os.environ))
    return {"stages": {}, "look_ups": summary["lookups"]["keys"] - summary["lookups"]["cached"]}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
