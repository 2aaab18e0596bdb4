"""What Medallion does within a day: a run, then the reconcile that applies deletes to a pipeline that reads by scan."""

from __future__ import annotations

import json
import sys

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.ops.reconcile import reconcile
from include.medallion.steps.run import run


def main(task: dict) -> dict:
    """Bring what changed to Gold, and delete what the source no longer has."""
    pipeline = Pipeline.model_validate(task["pipeline"])
    connections = Connections(task["source"], None, open_lake(task["lake"], task["options"]), {})
    run(pipeline, connections)
    reconcile(pipeline, connections)
    return {"stages": {}, "look_ups": 0}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
