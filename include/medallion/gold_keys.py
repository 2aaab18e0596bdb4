"""
Keys of a batch on their way into Gold: unique, and matched within their range.

Bounds are used (and written to the Delta log) for integer keys only: a text key
may be somebody's name.
"""

from __future__ import annotations

import pyarrow as pa

from include.medallion.enrich import ENRICHED
from include.medallion.errors import ContractBroken
from include.medallion.extract import Part
from include.medallion.lake import Lake, open_parquet, staged
from include.medallion.pipeline import Pipeline
from include.medallion.schema import Column, quoted
from include.medallion.window import Window


def bounded(pipeline: Pipeline, columns: tuple[Column, ...]) -> list[str]:
    """Return the key columns whose bounds help to skip files and tell nothing of a person."""
    types = {c.name: c.type for c in columns}
    return [c for c in pipeline.source.key if pa.types.is_integer(types[c])]


def match(lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], window: Window, parts: list[Part]) -> str:
    """Return the MERGE condition: same key, within the batch's range, so that files outside of it are not read."""
    same = [f"target.{quoted(c)} = source.{quoted(c)}" for c in pipeline.source.key]
    ranges = {name: _bounds(lake, window, parts, name) for name in bounded(pipeline, columns)}
    within = [f"target.{quoted(name)} BETWEEN {min(b)} AND {max(b)}" for name, b in ranges.items() if b]
    return " AND ".join([*same, *within])


def check_unique(lake: Lake, pipeline: Pipeline, window: Window, parts: list[Part]) -> None:
    """
    Assert that no key is in the batch twice: delta-rs would insert both rows.

    Raises:
        ContractBroken: how many rows repeat a key.
    """
    keys = pa.concat_tables(_keys(lake, pipeline, window, part) for part in parts)
    distinct = keys.group_by(pipeline.source.key).aggregate([]).num_rows
    if distinct != keys.num_rows:
        raise ContractBroken(
            f"{keys.num_rows - distinct} rows of batch {window.batch_id} repeat a key: source.key must be unique"
        )


def _bounds(lake: Lake, window: Window, parts: list[Part], column: str) -> list[int]:
    """Return the least and greatest value of each staged row group, from Parquet's own statistics."""
    found: list[int] = []
    for part in parts:
        with open_parquet(lake, staged(window, ENRICHED, part.number)) as enriched:
            index, meta = enriched.schema_arrow.get_field_index(column), enriched.metadata
            chunks = [meta.row_group(g).column(index).statistics for g in range(meta.num_row_groups)]
            found += [b for s in chunks if s and s.has_min_max for b in (s.min, s.max)]
    return found


def _keys(lake: Lake, pipeline: Pipeline, window: Window, part: Part) -> pa.Table:
    with open_parquet(lake, staged(window, ENRICHED, part.number)) as enriched:
        return enriched.read(pipeline.source.key)
