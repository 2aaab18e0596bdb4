"""The core's way into Snowflake: PUT, COPY, checks, fenced MERGE, ledger."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing

import snowflake.connector  # noqa: F401 (the core imports it late; here it belongs to the start)
from pydantic import TypeAdapter

from benchmarks.contenders.clock import Clock
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Window
from include.medallion.silver.apply import apply_batch
from include.medallion.staging.batch import open_batch

clock = Clock()


def main(task: dict) -> dict:
    """Load one staged batch, as the task `load_silver` does."""
    pipeline, window = Pipeline.model_validate(task["pipeline"]), TypeAdapter(Window).validate_python(task["window"])
    with clock.timed("connect"):
        connection = connection_settings.connect_snowflake(connection_settings.read_connection("silver", os.environ))
    with closing(connection), connection.cursor() as cursor, clock.timed("load_silver"):
        apply_batch(cursor, open_batch(open_lake(task["lake"], task["options"]), pipeline, window))
    return clock.account()


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
