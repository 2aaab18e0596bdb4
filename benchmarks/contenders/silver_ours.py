"""The core's way into Snowflake: PUT, COPY, checks, fenced MERGE, ledger."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing

import snowflake.connector  # noqa: F401 (what the core would import meanwhile belongs to the start)

from benchmarks.contenders.clock import Clock
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Window
from include.medallion.silver import sink as silver_sink
from include.medallion.staging.parts import Part

clock = Clock()


def main(task: dict) -> dict:
    """Load one staged batch, as the task `load_silver` does once its quarantine is landed."""
    lake, parts = open_lake(task["lake"], task["options"]), [Part(**p) for p in task["parts"]]
    with clock.timed("connect"):
        connection = connection_settings.connect_snowflake(connection_settings.read_connection("silver", os.environ))
    with closing(connection), clock.timed("load_silver"):
        pipeline, window = Pipeline.model_validate(task["pipeline"]), Window.from_json(task["window"])
        silver_sink.apply_batch(connection, lake, pipeline, window, parts)
    return clock.account()


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
