"""
Entries of the quarantine, once more: their rows are read again by key, and entries whose row arrived are closed.

Every batch closes the entries of the rows that it brings. A replay
(`replay_quarantine`) reads the rows of all open entries from the source: what is
good now arrives, what is still bad is quarantined again, and what the source has
no longer is closed too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import BATCH_ID, TIMESTAMP_UTC, VERSION, Column, quote_identifier, quote_literal
from include.medallion.model.values.masks import mask_sql
from include.medallion.model.values.validation import keys_to_json, to_text
from include.medallion.model.window import Mode, Window
from include.medallion.quarantine import table as quarantine_table
from include.medallion.staging.batch import Batch
from include.medallion.staging.files import read_staged_rows

_DATE = re.compile(r"-?infinity|\d{4,}-\d\d-\d\d( .*)?")


def replay_condition(lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...]) -> str:
    """
    Return the SQL condition that the rows of all open entries meet; "false" if there is none.

    If the key is masked by an HMAC,
    PostgreSQL cannot compare it: all rows meet the condition, and `only_open_entries` chooses among them.
    """
    key = _key_columns(pipeline, columns)
    found = quarantine_table.open_entries(lake, pipeline.name)["key"].to_pylist()
    if found and _is_keyed(key):
        return "true"
    wanted = sorted({_key_matches(key, json.loads(text)) for text in found if _is_queryable(key, json.loads(text))})
    return " OR ".join(wanted) or "false"


def only_open_entries(
    lake: Lake, pipeline: Pipeline, columns: tuple[Column, ...], rows: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows whose key is in an open entry, where `replay_condition` could not choose them."""
    key = _key_columns(pipeline, columns)
    if not _is_keyed(key):
        yield from rows
        return
    wanted = pa.array(quarantine_table.open_entries(lake, pipeline.name)["key"].to_pylist(), pa.string())
    for batch in rows:
        found = batch.filter(pc.is_in(keys_to_json(batch, pipeline.key), wanted))
        if found.num_rows:
            yield found


def _is_keyed(key: list[Column]) -> bool:
    return any(column.mask and not column.mask.is_sql for column in key)


def close_entries(batch: Batch) -> int:
    """
    Close the entries whose rows a batch brings, and after a replay those whose row the source no longer has.

    To be called when all sinks hold the batch. Idempotent.

    Returns:
        How many entries were closed.
    """
    window = batch.window
    older = pc.less(pc.field(BATCH_ID), window.batch_id)
    entries = quarantine_table.open_entries(batch.lake, window.pipeline).filter(older)
    if not entries.num_rows:
        return 0
    if window.mode is Mode.QUARANTINE:
        key = _key_columns(batch.pipeline, batch.columns)
        closed = [e["entry"] for e in entries.to_pylist() if _is_queryable(key, json.loads(e["key"]))]
    else:
        loaded = _loaded_versions(batch, entries)
        closed = [e["entry"] for e in entries.to_pylist() if loaded.get(e["key"], -1) >= e[VERSION]]
    if closed:
        delta.retry_on_conflict(lambda: _mark_closed(batch.lake, window, closed))
    return len(closed)


def close_older_entries(lake: Lake, window: Window) -> None:
    """Close all open entries from batches before a window: their rows belong to the previous source."""
    entries = quarantine_table.open_entries(lake, window.pipeline)
    older = entries.filter(pc.less(entries[BATCH_ID], window.batch_id))["entry"].to_pylist()
    if older:
        delta.retry_on_conflict(lambda: _mark_closed(lake, window, older))


def _key_columns(pipeline: Pipeline, columns: tuple[Column, ...]) -> list[Column]:
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in pipeline.key]


def _is_queryable(key: list[Column], texts: list[str | None]) -> bool:
    pairs = zip(key, texts, strict=True)
    return all(text is None or not pa.types.is_temporal(c.type) or _DATE.fullmatch(text) for c, text in pairs)


def _key_matches(key: list[Column], texts: list[str | None]) -> str:
    return "(" + " AND ".join(_column_matches(c, text) for c, text in zip(key, texts, strict=True)) + ")"


def _column_matches(column: Column, text: str | None) -> str:
    """Compare in the column's own type, so that an index serves; an untyped literal takes it."""
    name = quote_identifier(column.source_name or column.name)
    if text is None:
        return f"{name} IS NULL"
    given = f"\\x{text}" if pa.types.is_binary(column.type) else text
    return f"{mask_sql(column.mask, f'{name}::text') if column.mask else name} = {quote_literal(given)}"


def _loaded_versions(batch: Batch, entries: pa.Table) -> dict[str, int]:
    """Return the version in which the batch brings each key that an entry waits for."""
    first = pa.array([json.loads(text)[0] for text in entries["key"].to_pylist()], pa.string())
    found: dict[str, int] = {}
    for rows in read_staged_rows(batch.lake, batch.files, {*batch.key, VERSION}):
        some = rows.filter(pc.is_in(to_text(rows.column(batch.key[0])), first.drop_null()))
        texts = keys_to_json(some, batch.key).to_pylist()
        found |= dict(zip(texts, some.column(VERSION).to_pylist(), strict=True))
    return found


def _mark_closed(lake: Lake, window: Window, entries: list[str]) -> None:
    table = delta.require_table(lake, quarantine_table.TABLE)
    marks = pa.table(
        {
            "entry": pa.array(entries, pa.string()),
            "closed_at": pa.repeat(pa.scalar(window.opened_at, TIMESTAMP_UTC), len(entries)),
            "closed_by": pa.repeat(pa.scalar(window.batch_id, pa.int64()), len(entries)),
        }
    )
    (
        table.merge(
            marks,
            f"target.pipeline = '{window.pipeline}' AND target.entry = source.entry AND target.closed_by IS NULL",
            source_alias="source",
            target_alias="target",
        )
        .when_matched_update(
            {"closed_at": "source.closed_at", "closed_by": "source.closed_by"}, "target.closed_by IS NULL"
        )
        .execute()
    )
