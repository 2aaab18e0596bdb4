"""What is in each layer of a pipeline after a run, asked through the pipeline's own connections, wherever they lead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import MedallionError
from include.medallion.model.columns import quote_identifier, quote_literal, snowflake_name
from include.sandbox import query
from include.sandbox.errors import SandboxError
from include.sandbox.summary import counts

EARTH_KM = 6371.0
SHOWN = ("latitude", "longitude", "geocode_status")
MAX_COUNTED, MAX_SORTED = 2_000_000, 1_000_000
"""Rows of Bronze up to which they are counted, and of Gold up to which the first by key are shown."""
Environ = Mapping[str, str]


def layers(pipeline: Pipeline, environ: Environ, truth: Path | None = None) -> Iterator[str]:
    """
    Yield the lines about what is now in all layers; a layer that cannot be asked says why.

    Args:
        pipeline: whose tables are counted.
        environ: defines its connections and the lake.
        truth: folder of the true coordinates of the table, if it is the sandbox's sample.
    """
    source = f"{pipeline.source.schema_}.{pipeline.source.table}"
    yield from _or_why("Bronze", source, lambda: [f"  Bronze   {_bronze_rows(pipeline, environ):>11} rows  {source}"])
    if pipeline.silver:
        name = pipeline.silver.table
        yield from _or_why("Silver", name, lambda: [f"  Silver   {_silver_rows(pipeline, environ):>11,} rows  {name}"])
    if pipeline.gold:
        yield from _or_why("Gold", pipeline.gold.table, lambda: _gold_lines(pipeline, environ, truth))


def _or_why(layer: str, table: str, lines: Callable[[], Iterator[str] | list[str]]) -> list[str]:
    """Return the lines; the run has ended well, so that a layer that does not answer is no failure of it."""
    try:
        return list(lines())
    except (SandboxError, MedallionError, OSError) as e:
        return [f"  {layer:<8} {table}: not counted: {str(e).splitlines()[0]}"]


def _bronze_rows(pipeline: Pipeline, environ: Environ) -> str:
    """Count the source's rows; of a large table, return the planner's estimate."""
    table = f"{quote_identifier(pipeline.source.schema_)}.{quote_identifier(pipeline.source.table)}"
    sizes = f"""SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 FROM pg_catalog.pg_class AS c
        WHERE c.oid = {quote_literal(table)}::regclass
            OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree({quote_literal(table)}::regclass) AS t)"""
    estimate = query.ask("bronze", pipeline, environ, sizes)[1][0][0]
    if estimate > MAX_COUNTED:
        return f"about {int(estimate):,}"
    return f"{query.ask('bronze', pipeline, environ, f'SELECT count(*) FROM {table}')[1][0][0]:,}"


def _silver_rows(pipeline: Pipeline, environ: Environ) -> int:
    table = quote_identifier(snowflake_name(pipeline.silver.table))
    return query.ask("silver", pipeline, environ, f"SELECT count(*) FROM {table}")[1][0][0]


def _gold_lines(pipeline: Pipeline, environ: Environ, truth: Path | None) -> Iterator[str]:
    uri = f"{environ['AWS_URI']}/{pipeline.gold.table}"
    rows, version = _open_gold(uri, environ)
    number, known = rows.count_rows(), set(rows.schema.names)
    yield f"  Gold     {number:>11,} rows  {uri}, Delta version {version}"
    for status in (name for name in pipeline.added_columns if name.endswith("geocode_status") and name in known):
        yield f"  statuses  {counts(_tally(rows.to_table(columns=[status])[status]))}"
    if truth and truth.exists() and "latitude" in known:
        yield from _accuracy(
            distances(rows.to_table(columns=[pipeline.key[0], "latitude", "longitude"]), truth, pipeline.key[0])
        )
    yield ""
    yield from (f"  {line}" for line in _first_rows(pipeline, rows, number))


def _open_gold(uri: str, environ: Environ) -> tuple[ds.Dataset, int]:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options = {name: value for name, value in environ.items() if name.startswith("AWS_")}
    try:
        table = DeltaTable(uri, storage_options=options)
        return table.to_pyarrow_dataset(), table.version()
    except DeltaError as e:
        raise SandboxError(str(e)) from None


def _first_rows(pipeline: Pipeline, rows: ds.Dataset, number: int) -> Iterator[str]:
    """Yield the first rows by key; of a large table, any rows."""
    added = [name for name in pipeline.added_columns if name.endswith(SHOWN)]
    wanted = dict.fromkeys([*pipeline.key, *pipeline.enrichment_columns, *added])
    columns = [name for name in wanted if name in rows.schema.names]
    if number <= MAX_SORTED:
        keys = rows.to_table(columns=columns)
        shown = keys.take(pc.sort_indices(keys, [(name, "ascending") for name in pipeline.key])[:5])
    else:
        shown = rows.head(5, columns=columns)
    return query.aligned([shown.column_names, *([str(v) for v in row.values()] for row in shown.to_pylist())])


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


def _accuracy(km: pa.Array) -> Iterator[str]:
    if len(km):
        median, most = (km[int(len(km) * share)].as_py() for share in (0.5, 0.9))
        yield f"  accuracy  median {median:.2f} km, 90 % within {most:.2f} km of the true address ({len(km):,} rows)"


def _tally(column: pa.ChunkedArray) -> dict[str, int]:
    counts = sorted(column.value_counts().to_pylist(), key=lambda pair: -pair["counts"])
    return {str(pair["values"]): pair["counts"] for pair in counts}
