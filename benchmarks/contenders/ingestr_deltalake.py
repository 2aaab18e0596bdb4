"""
`ingestr` writes Parquet files to S3, as it writes no Delta there; delta-rs makes a Delta table of them, or merges them.

Changes are found by a cursor: it sees no deleted row and no row whose `updated_at` did not change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from urllib.parse import quote, urlencode


def main(task: dict) -> dict:
    """Bring what changed to Gold."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from deltalake import DeltaTable, convert_to_deltalake

    gold, options = task["lake"] + "/gold", task["options"]
    if not DeltaTable.is_deltatable(gold, storage_options=options):
        _ingest(task, gold)
        convert_to_deltalake(gold, storage_options=options)
        return {"stages": {}, "look_ups": 0}
    table = DeltaTable(gold, storage_options=options)
    cursor = pc.max(table.to_pyarrow_table(columns=["updated_at"])["updated_at"]).as_py()
    changes = f"{task['lake']}/changes-{table.version()}"
    _ingest(task, changes, "--incremental-key", "updated_at", "--interval-start", cursor.isoformat())
    changed = _read(changes.removeprefix("s3://"), options)
    if changed.num_rows:
        merge = table.merge(pa.table(changed), "s.id = t.id", source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    return {"stages": {}, "look_ups": 0}


def _ingest(task: dict, place: str, *more: str) -> None:
    """Let ingestr write rows as Parquet files below a place."""
    import ingestr

    options = task["options"]
    keys = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    names = {**keys, "endpoint_url": "AWS_ENDPOINT_URL", "region": "AWS_REGION"}
    given = {
        "source-uri": task["source"] + "?sslmode=disable",
        "source-table": f"public.{task.get('table', 'employees')}",
        "dest-uri": "s3://?" + urlencode({name: options[key] for name, key in names.items()}, quote_via=quote),
        "dest-table": place.removeprefix("s3://"),
        "progress": "log",
    }
    arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
    command = [ingestr.binary_path(), "ingest", "--yes", "--no-load-timestamp", *arguments, *more]
    environment = {**os.environ, "INGESTR_DISABLE_TELEMETRY": "true", "DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ingestr ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _read(path: str, options: dict) -> object:
    """Return the rows of the Parquet files below a path; ingestr writes none if there is no row."""
    import pyarrow as pa
    from pyarrow import dataset, fs

    lake = fs.S3FileSystem(
        access_key=options["AWS_ACCESS_KEY_ID"],
        secret_key=options["AWS_SECRET_ACCESS_KEY"],
        region=options["AWS_REGION"],
        endpoint_override=options["AWS_ENDPOINT_URL"],
    )
    found = lake.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    files = [file.path for file in found if file.is_file]
    return dataset.dataset(files, filesystem=lake, format="parquet").to_table() if files else pa.table({})


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
