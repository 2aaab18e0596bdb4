"""
Keys of a batch on their way into Gold: unique, and matched within their range.

Bounds are used (and written to the Delta log) for integer keys only: a text key
may be somebody's name.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, open_parquet, read_footer
from include.medallion.lake.parquet import column_bounds
from include.medallion.model.columns import Column, quote_identifier
from include.medallion.model.window import Window
from include.medallion.staging.layout import ENRICHED
from include.medallion.staging.parts import Part

ROWS_PER_PASS = 1 << 23  # whose keys are held at a time


def stat_columns(pipeline: Pipeline, columns: tuple[Column, ...]) -> list[str]:
    """Return the key columns whose bounds help to skip files and tell nothing of a person."""
    types = {c.name: c.type for c in columns}
    return [c for c in pipeline.source.key if pa.types.is_integer(types[c])]


def merge_predicate(
    lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], window: Window, parts: list[Part]
) -> str:
    """Return the MERGE condition: same key, within the batch's range, so that files outside of it are not read."""
    same = [f"target.{quote_identifier(c)} = source.{quote_identifier(c)}" for c in pipeline.source.key]
    ranges = {name: _bounds(lake, window, parts, name) for name in stat_columns(pipeline, columns)}
    within = [f"target.{quote_identifier(name)} BETWEEN {b[0]} AND {b[1]}" for name, b in ranges.items() if b]
    return " AND ".join([*same, *within])


def is_append_only(
    lake: Lake, table: DeltaTable, pipeline: Pipeline, columns: tuple[Column, ...], window: Window, parts: list[Part]
) -> bool:
    """Tell whether the table surely holds no key of the batch: it is empty, or all its keys are below the batch's."""
    if not table.file_uris():
        return True
    files = pa.table(table.get_add_actions(flatten=True))
    return any(_is_above(files, name, _bounds(lake, window, parts, name)) for name in stat_columns(pipeline, columns))


def _is_above(files: pa.Table, name: str, bounds: tuple[int, int] | None) -> bool:
    """Compare with each file's largest key in the log; a file for which the log has none may hold any."""
    if f"max.{name}" not in files.schema.names or not bounds:
        return False
    largest = files.column(f"max.{name}")
    return largest.null_count == 0 and pc.max(largest).as_py() < bounds[0]


def check_unique(lake: Lake, pipeline: Pipeline, window: Window, parts: list[Part]) -> None:
    """
    Assert that no key is in the batch twice: delta-rs would insert both rows.

    Raises:
        ContractBroken: how many rows repeat a key.
    """
    files = [file for part in parts for file in part.files(window, ENRICHED)]
    shares = max(1, ceil(sum(part.rows for part in parts) / ROWS_PER_PASS))
    repeated = sum(_count_repeated(lake, pipeline, files, share, shares) for share in range(shares))
    if repeated:
        raise ContractBroken(f"{repeated} rows of batch {window.batch_id} repeat a key: source.key must be unique")


def _count_repeated(lake: Lake, pipeline: Pipeline, files: list[str], share: int, shares: int) -> int:
    """Count rows that repeat a key, in one of the shares of the keys: memory holds one."""
    keys = pa.concat_tables(_keys_of_share(_keys(lake, pipeline, file), share, shares) for file in files)
    if keys.num_columns == 1 and keys.num_rows and pa.types.is_integer(keys.schema.types[0]):
        ordered = np.sort(keys[0].to_numpy())
        return int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    return keys.num_rows - keys.group_by(pipeline.source.key).aggregate([]).num_rows


def _keys_of_share(keys: pa.Table, share: int, shares: int) -> pa.Table:
    """Return the keys whose remainder is the share's number; of keys that are no integers the first share gets all."""
    if pa.types.is_integer(keys.schema.types[0]):
        return keys.filter(pa.array(keys[0].to_numpy() % shares == share)) if shares > 1 else keys
    return keys if share == 0 else keys.slice(0, 0)


def _bounds(lake: Lake, window: Window, parts: list[Part], column: str) -> tuple[int, int] | None:
    """Return the smallest and the largest value of a column of a batch; None if it has no rows or a file no bounds."""
    footers = [read_footer(lake, key) for part in parts for key in part.files(window, ENRICHED)]
    found = [column_bounds(footer, column) for footer in footers if footer.num_rows]
    known = [bounds for bounds in found if bounds]
    if not known or len(known) < len(found):
        return None
    return min(least for least, _ in known), max(most for _, most in known)


def _keys(lake: Lake, pipeline: Pipeline, file: str) -> pa.Table:
    with open_parquet(lake, file) as enriched:
        return enriched.read(pipeline.source.key)
