"""Values of Gold, read back to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.inspect import missing_files, open_gold
from include.medallion.gold.write.match import conform
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import BATCH_ID, DELETED_AT, VERSION, Column
from include.medallion.model.compare.ranges import KeyRange


def read_rows(lake: Lake, pipeline: Pipeline, columns: Sequence[Column], keys: KeyRange) -> Iterator[pa.RecordBatch]:
    """
    Stream the live rows of a range of keys; files that cannot hold them are not read, by the bounds in the log.

    Text is compared once it is read: other programs write it in types that Arrow cannot compare with a file's bounds.
    """
    table = open_gold(lake, pipeline)
    if table is None:
        return
    schema = pa.schema([*((c.name, c.type) for c in columns), (VERSION, pa.int64()), (BATCH_ID, pa.int64())])
    data = delta.dataset(lake, pipeline.gold_table, table)
    names = [name for name in schema.names if name in data.schema.names]
    live, near, chosen = pc.field(DELETED_AT).is_null(), keys.first_expression(), keys.expression()
    with missing_files(pipeline):
        for batch in data.to_batches(columns=names, filter=live if near is None else live & near):
            rows = conform(batch, schema)
            rows = rows if chosen is None else rows.filter(chosen)
            if rows.num_rows:
                yield rows
