"""PUT, COPY and MERGE as one writes them by hand: no ledger, no fence, no check."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import snowflake.connector
from pyarrow import fs

from benchmarks.contenders.clock import Clock

clock = Clock()
KEY = "ID"
VERSION = "_version"


def main(task: dict) -> dict:
    """Load one staged batch."""
    system = [column for column in task["system"] if column[0] != VERSION]
    columns = [*task["columns"], *(column for column in task["system"] if column[0] == VERSION)]
    target = task["pipeline"]["silver"]["table"]
    with clock.timed("connect"):
        connection = _connect()
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {target} ({_definitions([*columns, *system])})")
        cursor.execute("CREATE STAGE IF NOT EXISTS LOADS")
        cursor.execute(f"CREATE OR REPLACE TRANSIENT TABLE BATCH ({_definitions(columns)})")
        for number, file in enumerate(task["files"]):
            with tempfile.TemporaryDirectory() as folder:
                local = Path(folder, f"batch-{number}.parquet")
                with clock.timed(f"render {number}"):
                    _render(task["options"], file, columns, local)
                with clock.timed(f"put {number}"):
                    cursor.execute(f"PUT 'file://{local}' @LOADS AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
        with clock.timed("copy"):
            cursor.execute(
                "COPY INTO BATCH FROM @LOADS FILE_FORMAT = (TYPE = PARQUET BINARY_AS_TEXT = FALSE) "
                "MATCH_BY_COLUMN_NAME = CASE_SENSITIVE PURGE = TRUE"
            )
        with clock.timed("merge"):
            cursor.execute(_merge(task, target, columns, system))
        cursor.execute("DROP TABLE BATCH")
    return clock.account()


def _connect() -> snowflake.connector.SnowflakeConnection:
    given = json.loads(os.environ["AIRFLOW_CONN_SILVER"])
    account = {"user": given["login"], "password": given["password"], "schema": given["schema"]}
    return snowflake.connector.connect(**account, network_timeout=600, **given["extra"])


def _definitions(columns: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{name} {kind}" for _, name, kind in columns)


def _render(options: dict[str, str], file: str, columns: Sequence[Sequence[str]], local: Path) -> None:
    """Write a file as Snowflake reads it, row group by row group: its own names, times as text."""
    lake = fs.S3FileSystem(
        access_key=options["AWS_ACCESS_KEY_ID"],
        secret_key=options["AWS_SECRET_ACCESS_KEY"],
        region=options["AWS_REGION"],
        endpoint_override=options["AWS_ENDPOINT_URL"],
        scheme="http",
    )
    out = None
    with pq.ParquetFile(lake.open_input_file(file), pre_buffer=True) as read:
        for batch in read.iter_batches(columns=[name for name, _, _ in columns]):
            arrays = [a.cast(pa.string()) if pa.types.is_timestamp(a.type) else a for a in batch.columns]
            rows = pa.RecordBatch.from_arrays(arrays, names=[name for _, name, _ in columns])
            out = out or pq.ParquetWriter(local, rows.schema)
            out.write_batch(rows)
    out.close()


def _merge(task: dict, target: str, columns: Sequence[Sequence[str]], system: Sequence[Sequence[str]]) -> str:
    values = {"_batch_id": task["window"]["batch_id"], "_loaded_at": f"'{task['loaded_at']}'", "_deleted_at": "NULL"}
    added = ", ".join(f"{values[name]}::{kind} AS {spelt}" for name, spelt, kind in system)
    names = [name for _, name, _ in (*columns, *system)]
    return (
        f"MERGE INTO {target} AS t USING (SELECT b.*, {added} FROM BATCH AS b) AS s ON t.{KEY} = s.{KEY} "
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{n} = s.{n}' for n in names if n != KEY)} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f's.{n}' for n in names)})"
    )


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
