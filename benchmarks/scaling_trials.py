"""
Measure the limits: one trial for each claim of docs/scaling.md that can be tried on two cores.

    PYTHONPATH=. .venv/bin/python benchmarks/scaling_trials.py

Each prints how cost grows with size, as figures of one machine: read the ratios.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.sink import GoldSink
from include.medallion.lake import delta, delta_maintenance
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.columns import SYSTEM_COLUMNS, VERSION, batch_columns
from include.medallion.model.window import Window
from include.medallion.staging.batch import Batch
from include.medallion.staging.layout import ENRICHED, part_file
from include.medallion.staging.parts import EnrichedPart, StagedFile
from include.sandbox import postgres

GIB = 1 << 30
PEOPLE = Pipeline.model_validate(
    {
        "name": "people",
        "source": {"table": "people", "key": "id"},
        "enrich": {"geocode": {"postcode": "a", "country": "US"}},
        "silver": {"table": "people"},
        "gold": {"table": "gold"},
    }
)


def main() -> None:
    """Run all trials, or one in a process of its own."""
    if len(sys.argv) > 1:
        name, rows, *more = sys.argv[1:]
        print(json.dumps({"sort": sort_by_key, "over": write_over}[name](int(rows), *more)))
        return
    for trial in (xcom, source_scan, delta_log, sorting, writing_over):
        print(f"\n{trial.__doc__}\n", *trial(), sep="\n")


def xcom() -> Iterator[str]:
    """Measure what XCom carries, in bytes of JSON, by parts: the references that `extract` and `enrich` return."""
    for parts in (1, 10, 1024):
        sizes = [len(json.dumps({"batch_id": 20260101000000000, "part": part})) for part in range(parts)]
        yield f"| {parts:>5} parts | {sum(sizes):>9,} | {sum(sizes):>9,} |"


def source_scan() -> Iterator[str]:
    """Measure the seconds of a scan of the source by transaction id, when nothing is new, by rows."""
    state = Path(tempfile.mkdtemp())
    server = postgres.start(state, "scan", durable=False)
    try:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int)")
            rows = 0
            for more in (500_000, 500_000, 1_000_000, 2_000_000):
                values = "n, 'name ' || n, 'some address ' || n, n"
                connection.execute(f"INSERT INTO t SELECT {values} FROM generate_series({rows + 1}, {rows + more}) n")
                connection.execute("VACUUM ANALYZE t")
                rows += more
                query = "SELECT count(*) FROM t WHERE age(xmin) < 1"
                yield f"| {rows:>9,} rows | {best(lambda q=query: connection.execute(q).fetchone()):.3f} s |"
    finally:
        postgres.stop(state, "scan")
        postgres.discard(state)


def delta_log() -> Iterator[str]:
    """Measure the seconds to open a Delta table, by data files in its log; entry by entry, and summed up."""
    for files in (100, 1_000, 10_000, 50_000):
        folder = Path(tempfile.mkdtemp())
        write_deltalake(folder, pa.table({"id": pa.array([1], pa.int64())}))
        add = json.loads((folder / "_delta_log" / f"{0:020d}.json").read_text().splitlines()[-1])["add"]
        for version in range(1, 11):
            adds = ({**add, "path": f"{version}-{n}.parquet"} for n in range(files // 10))
            text = "\n".join(json.dumps({"add": a}) for a in adds)
            (folder / "_delta_log" / f"{version:020d}.json").write_text(text)
        one_by_one = best(lambda f=folder: len(DeltaTable(f).file_uris()))
        DeltaTable(folder).create_checkpoint()
        summed = best(lambda f=folder: len(DeltaTable(f).file_uris()))
        yield f"| {files:>6,} files | {one_by_one:.3f} s | {summed:.3f} s |"


def sorting() -> Iterator[str]:
    """Sort a table by key, by rows: seconds, memory over an idle process, files that a key can be in."""
    for rows in (250_000, 1_000_000, 4_000_000):
        found = alone("sort", rows)
        size, memory = found["bytes"] / GIB, found["memory"] / GIB
        order = f"{found['before']:.1f} -> {found['after']:.1f}"
        yield f"| {rows:>9,} rows, {size:.2f} GiB | {found['seconds']:.1f} s | {memory:.2f} GiB | {order} |"


def sort_by_key(rows: int) -> dict:
    """Write rows in random order as eight batches, sort them by key, and return what it took."""
    folder, chance = Path(tempfile.mkdtemp()), random.Random(1)
    for _ in range(8):
        ids = pa.array([chance.randrange(1 << 40) for _ in range(rows // 8)], pa.int64())
        texts = pa.array([f"{chance.random()} {chance.random()}" for _ in range(rows // 8)])
        write_deltalake(folder, pa.table({"id": ids, "a": texts, "b": texts}), mode="append")
    table = DeltaTable(folder)
    before, bytes_ = delta_maintenance.overlap(table, ["id"]), sum(f.stat().st_size for f in folder.glob("*.parquet"))
    idle, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10, time.perf_counter()
    table.optimize.z_order(["id"], target_size=max(bytes_ // 8, 1 << 20))
    seconds, most = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    after = delta_maintenance.overlap(table, ["id"])
    return {"bytes": bytes_, "seconds": seconds, "memory": most - idle, "before": before, "after": after}


def writing_over() -> Iterator[str]:
    """Change 10 000 rows of a table sorted by key: seconds, memory over an idle process, files rewritten."""
    for rows in (1_000_000, 4_000_000):
        for keys in ("newest", "spread"):
            for way in ("in place", "MERGE"):
                found = alone("over", rows, keys, way)
                files, memory = f"{found['rewritten']} of {found['files']}", f"{found['memory'] / GIB:.2f} GiB"
                yield f"| {rows:>9,} rows, {keys}, {way} | {found['seconds']:.2f} s | {memory} | {files} |"


def write_over(rows: int, keys: str, way: str) -> dict:
    """Write rows as files of 125 000 in the order of their key, change 10 000 of them, and return what it took."""
    lake, each = Lake(Path(tempfile.mkdtemp()).as_uri(), {}), 125_000
    sink = GoldSink(lake, PEOPLE)
    for number, begin in enumerate(range(0, rows, each), start=1):
        sink.apply(stage(lake, number, range(begin, begin + each)))
    table = delta.open_table(lake, "gold")
    if way == "MERGE":  # a table that requires more of a writer is left to delta-rs
        table.alter.add_constraint({"numbered": "_version > 0"})
    changed = range(0, rows, rows // 10_000) if keys == "spread" else range(rows - 10_000, rows)
    before, batch = set(table.file_uris()), stage(lake, rows // each + 1, changed)
    idle, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10, time.perf_counter()
    sink.apply(batch)
    seconds, most = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    table.update_incremental()
    return {
        "seconds": seconds,
        "memory": most - idle,
        "rewritten": len(before - set(table.file_uris())),
        "files": len(before),
    }


def stage(lake: Lake, number: int, ids: range) -> Batch:
    """Stage the n-th batch as `enrich` does."""
    window = Window("people", "trial", 100 * (number - 1), 100 * number, 20260101000000000 + number)
    rows = people(ids).append_column(VERSION, pa.repeat(pa.scalar(100 * number - 50), len(ids)))
    for column, value in zip(SYSTEM_COLUMNS[1:], batch_columns(window), strict=True):
        rows = rows.append_column(column.name, pa.repeat(value, len(ids)))
    path = part_file(window, ENRICHED, 0)
    with create_parquet(lake, path, rows.schema) as out:
        out.write_table(rows)
    return Batch(lake, PEOPLE, window, (EnrichedPart(0, (), len(ids), (StagedFile(path, 0, out.file),), ()),))


def people(ids: range) -> pa.Table:
    """Make a row for each key."""
    texts = pa.array([f"some text of {n} that no other row has {n * 7919 % 1_000_003}" for n in ids])
    return pa.table({"id": pa.array(ids, pa.int64()), "a": texts, "b": texts})


def alone(*arguments: object) -> dict:
    """Run a trial in a process of its own, so that its memory can be measured."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def best(work: Callable[[], object], times: int = 3) -> float:
    """Return the least of some measurements, in seconds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


if __name__ == "__main__":
    main()
