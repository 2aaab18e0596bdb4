"""`dlt`, as its documentation sets it up: `sql_database` into a Delta table on S3, changes by cursor, merge by key."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(task: dict) -> dict:
    """Bring what changed to Gold; `dlt` keeps its cursor itself."""
    os.environ |= {
        "DLT_DATA_DIR": str(Path(task["state"], "dlt")),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DESTINATION__FILESYSTEM__DELTALAKE_STORAGE_OPTIONS": json.dumps({"AWS_ALLOW_HTTP": "true"}),
    }
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.credentials import ConnectionStringCredentials
    from dlt.sources.sql_database import sql_table

    source = sql_table(
        ConnectionStringCredentials(task["source"].replace("postgresql:", "postgresql+psycopg2:")),
        table=task.get("table", "employees"),
        backend=task["backend"],
        backend_kwargs={"return_type": "arrow"} if task["backend"] == "connectorx" else None,
        incremental=dlt.sources.incremental("updated_at", range_start="open"),
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    source.apply_hints(table_format="delta")
    place = filesystem(
        task["lake"],
        credentials={
            "aws_access_key_id": task["options"]["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": task["options"]["AWS_SECRET_ACCESS_KEY"],
            "region_name": task["options"]["AWS_REGION"],
            "endpoint_url": task["options"]["AWS_ENDPOINT_URL"],
        },
    )
    pipeline = dlt.pipeline(f"bench_{task['backend']}", destination=place, dataset_name="gold")
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
    steps = pipeline.last_trace.steps
    return {
        "stages": {s.step: (s.finished_at - s.started_at).total_seconds() for s in steps if s.step != "run"},
        "look_ups": 0,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
