"""
Rows whose look-ups must be refreshed: PENDING ones, and those that have expired.

The daily refresh reads them from Gold instead of the source, because Gold has the answers with their age. The refreshed
rows go to the sinks like every batch, and change only the columns that enrichments add, of rows that are still in the
same version.

Coordinates of a provider may be stored for a limited time only (Google: 30 days,
https://cloud.google.com/maps-platform/terms/maps-service-terms). What cannot be renewed is set to NULL and PENDING, or
kept, as `expire` in the pipeline file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.join import LookupTable, replace_columns
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet import BATCH_ROWS
from include.medallion.lookups.data_versions import in_use_since
from include.medallion.lookups.enrichment import KEEP_FOR_TYPE, PENDING, Enrichment, Tracking
from include.medallion.lookups.forecast import with_forecast
from include.medallion.model.columns import DELETED_AT, OP, TIMESTAMP_UTC, UPSERT, VERSION, Column


def read_rows_to_refresh(
    lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], enrichments: Sequence[Enrichment], now: datetime
) -> Iterator[pa.RecordBatch]:
    """
    Stream the live rows of Gold that must be refreshed.

    Args:
        pipeline: without a Gold table, it has no such rows.
        columns: columns of the source table.
        enrichments: those of the pipeline.
        now: answers that expire at or before it are refreshed.

    Yields:
        Record batches with the primary key, the source columns that enrichments read (in the types of raw parts), the
        columns that they added, `_version` and `_op`.
    """
    table = delta.open_table(lake, pipeline.gold.table) if pipeline.gold else None
    wanted = _columns_to_read(pipeline, columns)
    added = pa.schema([field for enrichment in enrichments for field in enrichment.fields])
    schema = pa.schema(
        [*(c.read_field for c in wanted), *added, pa.field(VERSION, pa.int64()), pa.field(OP, pa.string())]
    )
    if pipeline.gold is None or table is None or not {*added.names} <= {f.name for f in table.schema().fields}:
        return
    dataset, is_live = delta.dataset(lake, pipeline.gold.table, table), pc.field(DELETED_AT).is_null()
    names = [name for name in schema.names if name != OP]
    for batch in dataset.to_batches(columns=names, filter=is_live, batch_size=BATCH_ROWS):
        rows = batch.filter(
            _any_of([needs_refresh(batch, e.tracked, now) for e in enrichments if e.tracked], batch.num_rows)
        )
        if rows.num_rows:
            arrays = [*(rows.column(name).cast(schema.field(name).type) for name in names)]
            yield pa.RecordBatch.from_arrays([*arrays, pa.repeat(UPSERT, rows.num_rows)], schema=schema)


def _columns_to_read(pipeline: Pipeline, columns: tuple[Column, ...]) -> list[Column]:
    needed = {*pipeline.key, *pipeline.enrichment_columns}
    return [column for column in columns if column.name in needed]


def needs_refresh(rows: pa.RecordBatch, tracked: Tracking, now: datetime) -> pa.Array:
    """
    Return whether the answer of each row is PENDING, has expired, or may be another one by now (bool array).

    Answers that expire until `tracked.renew_until` count as expired.
    """
    pending = _null_is_false(pc.equal(rows.column(tracked.status), PENDING))
    expired = is_expired(rows, tracked, tracked.renew_until or now)
    return pc.or_(pc.or_(pending, expired), _may_be_known_now(rows, tracked))


def _may_be_known_now(rows: pa.RecordBatch, tracked: Tracking) -> pa.Array:
    """Return which rows have no result of data that were other ones: of another provider, or of an earlier version."""
    if tracked.provider is None or not tracked.retried:
        return pa.array([False] * rows.num_rows, pa.bool_())
    missing = pc.is_in(rows.column(tracked.status), pa.array(sorted(tracked.retried), pa.string()))
    free = pc.is_in(rows.column(tracked.provider), pa.array(sorted(tracked.free), pa.string()))
    changed = pc.not_equal(rows.column(tracked.provider), tracked.now_provider)
    if tracked.data_since:
        older = pc.less(rows.column(tracked.at), pa.scalar(tracked.data_since, TIMESTAMP_UTC))
        changed = pc.or_(changed, older)
    return _null_is_false(pc.and_(pc.and_(missing, free), changed))


def prepare_refresh(lake: Lake, enrichments: Sequence[Enrichment], now: datetime) -> tuple[Enrichment, ...]:
    """Return enrichments that know since when the data that they ask are as they are, and what to renew early."""
    return tuple(with_forecast(lake, _with_data_version(lake, e, now), now) for e in enrichments)


def _with_data_version(lake: Lake, enrichment: Enrichment, now: datetime) -> Enrichment:
    if enrichment.tracked is None or enrichment.data_version is None or not (version := enrichment.data_version()):
        return enrichment
    since = in_use_since(lake, enrichment.provider, version, now)
    return replace(enrichment, tracked=replace(enrichment.tracked, data_since=since))


def is_expired(rows: pa.RecordBatch, tracked: Tracking, now: datetime) -> pa.Array:
    """Return whether the answer of each row has expired at `now` (bool array)."""
    return _null_is_false(pc.less_equal(expires_at(rows, tracked), pa.scalar(now, TIMESTAMP_UTC)))


def expires_at(rows: pa.RecordBatch, tracked: Tracking) -> pa.Array:
    """Return when the answer of each row expires; null if it does not, or if there is none."""
    statuses = rows.column(tracked.status).dictionary_encode()
    times = [None if s in {None, PENDING} else tracked.keep(s) for s in statuses.dictionary.to_pylist()]
    keep = pa.array(times, KEEP_FOR_TYPE).take(statuses.indices)
    expiry = pc.add(rows.column(tracked.at), keep)
    if tracked.provider is None:
        return expiry
    never_expire = pc.is_in(rows.column(tracked.provider), pa.array(sorted(tracked.free), pa.string()))
    return pc.if_else(never_expire, pa.scalar(None, TIMESTAMP_UTC), expiry)


def apply_refresh(
    start: int, batch: pa.RecordBatch, lookups: Sequence[LookupTable], now: datetime
) -> tuple[pa.RecordBatch, pa.Array]:
    """
    Apply new answers to rows that `read_rows_to_refresh` has read.

    A row gets the answer to its key; one that costs nothing is not cached, so it is written only where it is due, and
    one that has not expired yet only if it was renewed. Without an answer (over the call budget), an expired one is set
    to NULL, unless the pipeline keeps it.

    Args:
        start: index of the batch's first row in the part.
        batch: consecutive rows of the part.
        lookups: those of the pipeline's enrichments, in order.
        now: as in `read_rows_to_refresh`.

    Returns:
        The rows, and which of them have changed (bool array).
    """
    changes = [pa.array([False] * batch.num_rows, pa.bool_())]
    for lookup in lookups:
        rows = lookup.rows(start, batch.num_rows)
        after, before = lookup.columns.take(rows), batch.select(lookup.columns.schema.names)
        replaced = lookup.answered.take(rows)
        if tracked := lookup.enrichment.tracked:
            due, expired = needs_refresh(batch, tracked, now), is_expired(batch, tracked, now)
            if lookup.enrichment.limits is None:
                replaced = pc.and_(replaced, due)
            if lookup.enrichment.expires:
                replaced = pc.or_(replaced, expired)
            same = _null_is_false(pc.equal(after.column(tracked.at), before.column(tracked.at)))
            changes.append(pc.and_not(pc.and_(replaced, due), pc.and_not(same, expired)))
        pairs = zip(after.columns, before.columns, strict=True)
        arrays = [pc.if_else(replaced, new, old) for new, old in pairs]
        batch = replace_columns(batch, pa.RecordBatch.from_arrays(arrays, schema=after.schema))
    return batch, _any_of(changes, batch.num_rows)


def _any_of(masks: list[pa.Array], rows: int) -> pa.Array:
    result = pa.array([False] * rows, pa.bool_())
    for mask in masks:
        result = pc.or_(result, mask)
    return result


def _null_is_false(mask: pa.Array) -> pa.Array:
    return pc.fill_null(mask, fill_value=False)
