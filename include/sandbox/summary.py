"""What a run did, for a person: counts of each sink, a few rows, distances to the truth, timings."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from psycopg import sql

from include.medallion.config.pipeline import Pipeline
from include.sandbox.query import aligned
from include.sandbox.settings import Servers

EARTH_KM = 6371.0
SAMPLE = "employees"
SHOWN = ("latitude", "longitude", "geocode_status")


def bronze_rows(servers: Servers, pipeline: Pipeline) -> int:
    """Count the source's rows."""
    table = sql.Identifier(pipeline.source.schema_, pipeline.source.table)
    with psycopg.connect(servers.bronze.dsn("bronze")) as connection:
        return connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()[0]


def silver_rows(servers: Servers, pipeline: Pipeline) -> int:
    """Count the Snowflake table's rows."""
    with servers.silver.connect() as connection, connection.cursor() as cursor:
        return cursor.execute(f"SELECT count(*) FROM {pipeline.silver.table}").fetchone()[0]


def gold(uri: str, columns: list[str]) -> tuple[pa.Table, int]:
    """Return those of the columns that the Delta table has, and its version; S3's settings are in the environment."""
    from deltalake import DeltaTable

    table = DeltaTable(uri)
    known = {field.name for field in table.schema().fields}
    return table.to_pyarrow_table(columns=[name for name in dict.fromkeys(columns) if name in known]), table.version()


def distances(found: pa.Table, truth: Path, key: str) -> pa.Array:
    """Return how far each found place is from the true one, in km, in ascending order."""
    true = ds.dataset(truth).to_table().rename_columns({"latitude": "true_latitude", "longitude": "true_longitude"})
    known = found.select([key, "latitude", "longitude"]).filter(pc.field("latitude").is_valid())
    true = true.set_column(0, "id", true["id"].cast(found.schema.field(key).type))
    both = known.join(true, keys=key, right_keys="id", join_type="inner")
    names = ("latitude", "longitude", "true_latitude", "true_longitude")
    # great circle, haversine's formula
    a, b, c, d = (pc.multiply(both[name], math.pi / 180) for name in names)
    north, east = (pc.sin(pc.divide(pc.subtract(x, y), 2.0)) for x, y in ((c, a), (d, b)))
    h = pc.add(pc.multiply(north, north), pc.multiply(pc.multiply(pc.cos(a), pc.cos(c)), pc.multiply(east, east)))
    km = pc.multiply(pc.asin(pc.sqrt(h)), 2 * EARTH_KM).combine_chunks()
    return km.take(pc.sort_indices(km))


def layers(
    servers: Servers, pipeline: Pipeline, root: str, truth: Path, elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """
    Yield the lines about what is now in all layers.

    Args:
        servers: of the sandbox.
        pipeline: whose tables are counted.
        root: URI of the lake.
        truth: folder of the sample's true coordinates.
        elsewhere: layers on the user's own servers, which are named instead of read.
    """
    source = f"{pipeline.source.schema_}.{pipeline.source.table}"
    shown = [("bronze", source, lambda: [f"  Bronze   {bronze_rows(servers, pipeline):>10,} rows  {source}"])]
    if pipeline.silver:
        name = pipeline.silver.table
        shown.append(("silver", name, lambda: [f"  Silver   {silver_rows(servers, pipeline):>10,} rows  {name}"]))
    if pipeline.gold:
        sample = truth if "bronze" not in elsewhere and pipeline.source.table == SAMPLE else None
        shown.append(("gold", pipeline.gold.table, lambda: _gold_lines(pipeline, root, sample)))
    for layer, table, lines in shown:
        if setting := elsewhere.get(layer):
            yield f"  {layer.title():<8} {table} is on your own server ({setting}): not counted"
        else:
            yield from lines()


def _gold_lines(pipeline: Pipeline, root: str, truth: Path | None) -> Iterator[str]:
    uri, key = f"{root}/{pipeline.gold.table}", pipeline.key
    table, version = gold(uri, [*key, *pipeline.enrichment_columns, *SHOWN])
    yield f"  Gold     {table.num_rows:>10,} rows  {uri}, Delta version {version}"
    if "geocode_status" in table.column_names:
        yield f"  statuses  {_counts(_tally(table['geocode_status']))}"
    if truth and truth.exists() and "latitude" in table.column_names:
        yield from _accuracy(distances(table, truth, key[0]))
    yield ""
    rows = table.sort_by([(name, "ascending") for name in key]).slice(0, 5).to_pylist()
    lines = [table.column_names, *([str(value) for value in row.values()] for row in rows)]
    yield from (f"  {line}" for line in aligned(lines))


def timings(tasks: Iterable[Mapping]) -> Iterator[str]:
    """Yield a line per task: how long it ran, mapped instances together."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for task in tasks:
        if task["start_date"] and task["end_date"]:
            span = tuple(datetime.fromisoformat(task[edge]) for edge in ("start_date", "end_date"))
            spans.setdefault(task["task_id"], []).append(span)
    for name, some in spans.items():
        seconds = (max(end for _, end in some) - min(begin for begin, _ in some)).total_seconds()
        yield f"  {name:<14}{seconds:6.1f} s" + (f"  in {len(some)} parts" if len(some) > 1 else "")


def work(done: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about what a run did, from the summary that its task `commit` returned."""
    yield f"  this run  batch {done.get('batch_id', '?')}, {_counts({'rows read': done.get('read', '?')})}"
    if set_aside := {name: n for name in ("quarantined", "unchanged") if (n := done.get(name))}:
        yield f"  {'':<10}{_counts(set_aside)}"
    for sink, applied in done.get("sinks", {}).items():
        yield f"  {sink:<10}{_applied(applied)}"
    if done.get("lookups", {}).get("keys"):
        yield f"  look-ups  {_lookups(done['lookups'])}"
        yield f"  {'':<10}{_counts(done['lookups'].get('statuses', {}))}"
    yield from (f"  WARNING   {warning}" for warning in done.get("warnings", ()))
    if lag := done.get("lag_transactions"):
        yield f"  {lag} transactions are held back by one that is still open: the next run reads them"


def hints(pipeline: Pipeline, elsewhere: Collection[str] = ()) -> Iterator[str]:
    """Yield what to try next with a pipeline; its tables in `elsewhere` are the user's own."""
    query = "  make query" if pipeline.name == SAMPLE else f"  make query PIPELINE={pipeline.name}"
    yield "look further, once `make up` has left the sandbox running:"
    if pipeline.name == SAMPLE and "bronze" not in elsewhere:
        yield f"{query} LAYER=bronze SQL=\"UPDATE employees SET postcode = '98052' WHERE id < 4\""
        yield "  make run      brings the three rows, and nothing else"
    if pipeline.silver:
        yield f'{query} LAYER=silver SQL="SELECT * FROM {pipeline.silver.table} LIMIT 5"'
    if pipeline.gold:
        yield f'{query} LAYER=gold SQL="SELECT * FROM {pipeline.gold.table} LIMIT 5" FORMAT=json'
    yield "  make env      every setting, to join from your own programs"


def _lookups(lookups: Mapping[str, Any]) -> str:
    counts = _counts({name: lookups[name] for name in ("keys", "cached", "calls")})
    return (
        f"{counts} ({lookups['cost_usd']:.2f} USD); calls saved: {lookups['rows'] - lookups['keys']:,} by "
        f"de-duplication, {lookups['cached']:,} by the cache"
    )


def _applied(applied: Mapping[str, Any]) -> str:
    if applied["replayed"]:
        return "held the batch already"
    return _counts({name: applied[name] for name in ("inserted", "updated", "superseded")})


def _accuracy(km: pa.Array) -> Iterator[str]:
    if len(km):
        median, most = (km[int(len(km) * share)].as_py() for share in (0.5, 0.9))
        yield f"  accuracy  median {median:.2f} km, 90 % within {most:.2f} km of the true address ({len(km):,} rows)"


def _tally(column: pa.ChunkedArray) -> dict[str, int]:
    counts = sorted(column.value_counts().to_pylist(), key=lambda pair: -pair["counts"])
    return {str(pair["values"]): pair["counts"] for pair in counts}


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in counts.items()
    )
