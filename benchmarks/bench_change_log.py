"""Measure what a change log would save the writer of Gold, and what it would cost its readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Annotated, TypeVar

import duckdb
import pyarrow as pa
import typer
from deltalake import DeltaTable, write_deltalake
from pyarrow import dataset

from benchmarks.harness import employees
from benchmarks.harness.contest import GOLD_ONLY
from benchmarks.harness.options import Changed, Rounds, Rows
from benchmarks.harness.results import Question, keep
from benchmarks.harness.servers import Servers, servers
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.log import commit_properties
from include.medallion.gold.sink import GoldSink
from include.medallion.gold.write.files import GoldBatch
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, open_lake
from include.medallion.staging.batch import Batch, open_batch
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.open_window import open_window

PEOPLE = Pipeline.model_validate(GOLD_ONLY)
PLACE = "change-log"
T = TypeVar("T")
MERGED_VIEW = """
    SELECT base.* FROM base ANTI JOIN log USING (id)
    UNION ALL
    SELECT * FROM log QUALIFY row_number() OVER (PARTITION BY id ORDER BY _version DESC, _batch_id DESC) = 1
"""
QUERIES = {
    "all columns of all rows": "SELECT count(*), sum(hash(COLUMNS(*))::hugeint) FROM {}",
    "two columns of all rows": "SELECT geocode_status, count(*), max(latitude) FROM {} GROUP BY ALL ORDER BY ALL",
    "one row by its key": "SELECT * FROM {} WHERE id = 4711",
}


@dataclass(frozen=True)
class Layouts:
    """The same rows as one table that batches are merged into, and as a table that stays with a log beside it."""

    merged: DeltaTable
    base: DeltaTable
    log: DeltaTable

    def rows(self) -> dict[str, dataset.Dataset]:
        """Return the tables that a reader opens."""
        return {name: table.to_pyarrow_dataset() for name, table in vars(self).items()}


def main(
    rows: Rows = 100_000,
    changed: Changed = None,
    rounds: Rounds = 3,
    batches: Annotated[int, typer.Option(min=1, help="of random updates, one after the other")] = 8,
) -> None:
    """Load a table, then batches of random updates both ways; read both after the first batch and after the last."""
    count = changed or max(1, rows // 100)
    with servers(rows) as there:
        employees.fill(there, rows)
        lake = open_lake(f"s3://{there.lake.bucket}/{PLACE}", there.lake.options)
        writers = {"merged": _merge, "log": _append}
        _merge(_stage(there, lake))
        base, writes, reads = delta.open_table(lake, "gold"), [], {}
        for number in range(1, batches + 1):
            employees.update_random(there, count)
            batch = _stage(there, lake)
            writes.append({name: _timed(partial(write, batch))[1] for name, write in writers.items()})
            if number in {1, batches}:
                layouts = Layouts(delta.open_table(lake, "gold"), base, delta.open_table(lake, "log"))
                reads[number] = _read(layouts, rounds)
    about = {"changed": count, "batches": batches, "rounds": rounds}
    keep(Question.CHANGE_LOG, rows, {**about, "writes": writes, "reads": reads}, _table(rows, about, writes, reads))


def _stage(there: Servers, lake: Lake) -> Batch:
    """Read and enrich what Gold does not have yet."""
    connections = connection_settings.Connections(there.uri, None, lake, {})
    window = open_window(PEOPLE, connections)
    for part in extract(PEOPLE, connections, window):
        enrich(PEOPLE, connections, window, part.number)
    return open_batch(lake, PEOPLE, window)


def _merge(batch: Batch) -> None:
    GoldSink(batch.lake, PEOPLE).apply(batch)


def _append(batch: Batch) -> None:
    lake, window, table = batch.lake, batch.window, delta.open_table(batch.lake, "gold")
    schema = pa.schema(table.schema().to_arrow())
    rows = interleave_parts(GoldBatch(lake, PEOPLE, window, batch.files, table, schema, commit_properties(window)))
    write_deltalake(lake.table("log"), rows, mode="append", storage_options=dict(lake.options))


def _read(layouts: Layouts, rounds: int) -> dict[str, dict[str, float]]:
    """Run each query on both, in turns; return the median seconds of each."""
    return {name: _asked(layouts, query, rounds) for name, query in QUERIES.items()}


def _asked(layouts: Layouts, query: str, rounds: int) -> dict[str, float]:
    found = {"merged": [], "log": []}
    for number in range(rounds):
        turns = [("merged", "merged"), ("log", f"({MERGED_VIEW})")]
        answers = {}
        for name, source in turns if number % 2 == 0 else turns[::-1]:
            answers[name], seconds = _timed(partial(_answer, layouts, query.format(source)))
            found[name].append(seconds)
        if answers["merged"] != answers["log"]:
            raise RuntimeError(f"the two layouts hold different rows: {query}")
    return {name: median(seconds) for name, seconds in found.items()}


def _answer(layouts: Layouts, query: str) -> list[tuple]:
    with duckdb.connect() as engine:
        for name, rows in layouts.rows().items():
            engine.register(name, rows)
        return engine.execute(query).fetchall()


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    return act(), time.perf_counter() - begun


def _table(rows: int, about: dict, writes: Sequence[dict], reads: dict[int, dict]) -> str:
    said = ", ".join(f"{name} {value:,}" for name, value in {"rows": rows, **about}.items())
    written = {name: median(w[name] for w in writes) for name in ("merged", "log")}
    lines = [
        f"### change log: {said}",
        "",
        "| | merged table, s | change log, s | log / merged |",
        "|---|--:|--:|--:|",
        _line("write a batch", written),
    ]
    for number, found in reads.items():
        log = f"{number} batch{'es' if number > 1 else ''} of it in the log"
        lines += [_line(f"read {query}, {log}", seconds) for query, seconds in found.items()]
    return "\n".join([*lines, ""])


def _line(what: str, seconds: dict[str, float]) -> str:
    merged, log = seconds["merged"], seconds["log"]
    return f"| {what} | {merged:.2f} | {log:.2f} | {log / merged:.2f} |"


if __name__ == "__main__":
    typer.run(main)
