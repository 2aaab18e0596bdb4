"""
Rows whose answers are due: PENDING, or older than they may become.

The daily refresh reads them from Gold, in place of the source: it has the
answers, with their age. What comes of it goes to both sinks by the way of every
batch, and changes nothing but the columns that enrichments add, of rows that
are there in just this version.

Coordinates of a provider may be kept for a time only (Google: 30 days,
https://cloud.google.com/maps-platform/terms/maps-service-terms). What cannot be
renewed is nulled out and PENDING, or kept, as `expire` in the pipeline file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.join import LookupTable, replace_columns
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet import BATCH_ROWS
from include.medallion.lookups.enrichment import PENDING, Enrichment, Tracking
from include.medallion.model.columns import DELETED_AT, OP, TIMESTAMP_UTC, UPSERT, VERSION, Column


def read_rows_to_refresh(
    lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], enrichments: Sequence[Enrichment], now: datetime
) -> Iterator[pa.RecordBatch]:
    """
    Stream the living rows of Gold that are due.

    Yields record batches of the key, of what enrichments read of the source (in
    the types of raw parts) and of what they added, `_version` and `_op`.

    Args:
        columns: those of the source table.
    """
    table = delta.open_table(lake, pipeline.gold.table)
    wanted = _columns_to_read(pipeline, columns)
    added = pa.schema([field for enrichment in enrichments for field in enrichment.fields])
    schema = pa.schema(
        [*(c.read_field for c in wanted), *added, pa.field(VERSION, pa.int64()), pa.field(OP, pa.string())]
    )
    if table is None or not {*added.names} <= {f.name for f in table.schema().fields}:
        return
    dataset, living = delta.dataset(lake, pipeline.gold.table, table), pc.field(DELETED_AT).is_null()
    names = [name for name in schema.names if name != OP]
    for batch in dataset.to_batches(columns=names, filter=living, batch_size=BATCH_ROWS):
        rows = batch.filter(
            _any_of([needs_refresh(batch, e.tracked, now) for e in enrichments if e.tracked], batch.num_rows)
        )
        if rows.num_rows:
            arrays = [*(rows.column(name).cast(schema.field(name).type) for name in names)]
            yield pa.RecordBatch.from_arrays([*arrays, pa.repeat(UPSERT, rows.num_rows)], schema=schema)


def _columns_to_read(pipeline: Pipeline, columns: tuple[Column, ...]) -> list[Column]:
    needed = {*pipeline.source.key, *pipeline.enrichment_columns}
    return [column for column in columns if column.name in needed]


def needs_refresh(rows: pa.RecordBatch, tracked: Tracking, now: datetime) -> pa.Array:
    """Tell of each row whether its answer is PENDING or too old (bool array)."""
    return pc.or_(_null_is_false(pc.equal(rows.column(tracked.status), PENDING)), is_expired(rows, tracked, now))


def is_expired(rows: pa.RecordBatch, tracked: Tracking, now: datetime) -> pa.Array:
    """Tell of each row whether its answer is too old (bool array)."""
    statuses, at = rows.column(tracked.status), rows.column(tracked.at)
    old = pa.array([False] * rows.num_rows, pa.bool_())
    for status in filter(None, statuses.drop_null().unique().to_pylist()):
        if status != PENDING:
            oldest = pa.scalar(now - tracked.keep(status), TIMESTAMP_UTC)
            old = pc.or_(old, _null_is_false(pc.and_(pc.equal(statuses, status), pc.less_equal(at, oldest))))
    if tracked.provider is None:
        return old
    return pc.and_(old, pc.invert(pc.is_in(rows.column(tracked.provider), pa.array(sorted(tracked.free), pa.string()))))


def apply_refresh(
    start: int, batch: pa.RecordBatch, answers: Sequence[LookupTable], now: datetime
) -> tuple[pa.RecordBatch, pa.Array]:
    """
    Return a part's due rows from `start` on with what is new of them, and which rows that changes (bool array).

    A row gets the answer to its key. Without one (over the budget), an answer
    that is too old is nulled out, unless the pipeline keeps it.
    """
    changes = [pa.array([False] * batch.num_rows, pa.bool_())]
    for one in answers:
        rows = one.rows(start, batch.num_rows)
        given, before = one.columns.take(rows), batch.select(one.columns.schema.names)
        replaced = one.answered.take(rows)
        if tracked := one.enrichment.tracked:
            if one.enrichment.expires:
                replaced = pc.or_(replaced, is_expired(batch, tracked, now))
            changes.append(pc.and_(replaced, needs_refresh(batch, tracked, now)))
        pairs = zip(given.columns, before.columns, strict=True)
        arrays = [pc.if_else(replaced, new, old) for new, old in pairs]
        batch = replace_columns(batch, pa.RecordBatch.from_arrays(arrays, schema=given.schema))
    return batch, _any_of(changes, batch.num_rows)


def _any_of(masks: list[pa.Array], rows: int) -> pa.Array:
    result = pa.array([False] * rows, pa.bool_())
    for mask in masks:
        result = pc.or_(result, mask)
    return result


def _null_is_false(mask: pa.Array) -> pa.Array:
    return pc.fill_null(mask, fill_value=False)
