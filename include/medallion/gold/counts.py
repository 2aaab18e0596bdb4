"""What became of a batch in Gold, counted in the table itself."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, open_parquet
from include.medallion.model.columns import BATCH_ID, DELETED_AT, VERSION
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Window
from include.medallion.staging.layout import ENRICHED
from include.medallion.staging.parts import Part

_TABLE_VERSION = f"{VERSION}.held"


def count_outcome(
    lake: Lake, pipeline: Pipeline, table: DeltaTable, window: Window, parts: list[Part], updated: int
) -> Applied:
    """
    Count the batch's rows that the table holds, and those that it holds newer.

    Args:
        table: at the version that the batch made, or a later one: what came between counts as newer.
        updated: rows that the merge says it updated.
    """
    rows = sum(p.rows for p in parts)
    data = delta.dataset(lake, pipeline.gold.table, table)
    applied = data.count_rows(filter=pc.field(BATCH_ID) == window.batch_id)
    superseded = _superseded(lake, pipeline, data, window, parts) if applied < rows else 0
    updated = min(updated, applied)  # a newer batch may have written over some of them since
    return Applied(rows, applied - updated, updated, superseded, version=table.version())


def _superseded(lake: Lake, pipeline: Pipeline, data: pa.dataset.Dataset, window: Window, parts: list[Part]) -> int:
    key, found = pipeline.source.key, 0
    unwanted = _is_not_updated if window.mode is Mode.LOOKUPS else _is_superseded
    for file in (key for part in parts for key in part.files(window, ENRICHED)):
        with open_parquet(lake, file) as enriched:
            mine = enriched.read([*key, VERSION])
        held = data.to_table([*key, VERSION, BATCH_ID, DELETED_AT])
        both = mine.join(held, key, join_type="left outer", right_suffix=".held")
        found += pc.sum(unwanted(both, window)).as_py() or 0
    return found


def _is_superseded(both: pa.Table, window: Window) -> pa.ChunkedArray:
    """Tell whether the table holds a row in a newer version, or in the same one from a newer batch."""
    newer, same = pc.greater(both[_TABLE_VERSION], both[VERSION]), pc.equal(both[_TABLE_VERSION], both[VERSION])
    return pc.or_(newer, pc.and_(same, pc.greater(both[BATCH_ID], window.batch_id)))


def _is_not_updated(both: pa.Table, window: Window) -> pa.ChunkedArray:
    """Tell whether a row is gone, deleted, of another version, or renewed by a newer batch."""
    other = pc.fill_null(pc.not_equal(both[_TABLE_VERSION], both[VERSION]), fill_value=True)
    newer = pc.fill_null(pc.greater(both[BATCH_ID], window.batch_id), fill_value=False)
    return pc.or_(pc.or_(other, newer), both[DELETED_AT].is_valid())
