"""
The cache of answers: a Delta table, so that no key is billed twice.

A new answer is first staged as part of a small file (`stage_answers`), immediately and outside any batch, so that the
next run finds it even if this one fails. Writing Gold then merges the staged answers into the table (`merge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, delete_files, list_files
from include.medallion.lake.parquet_files import get_table, put_table
from include.medallion.lookups.enrichment import KEEP_FOR, Enrichment
from include.medallion.model.columns import TIMESTAMP_UTC, quote_identifier
from include.medallion.model.keys import Key, composite_key, to_table


def schema(enrichment: Enrichment) -> pa.Schema:
    """Return the columns of the cache table: key, answer, provider, time of the look-up, and expiry."""
    return pa.schema([*enrichment.key, *enrichment.kept, pa.field("expires_at", TIMESTAMP_UTC)])


def find_answers(
    lake: Lake, enrichment: Enrichment, wanted: Sequence[Key], now: datetime
) -> Iterator[tuple[list[Key], pa.Table]]:
    """
    Yield the unexpired answers to keys, staged or merged.

    Reads the provider's partition of the cache batch by batch; memory holds only what is wanted. If a key has several
    answers, the one yielded last is to be used.

    Args:
        wanted: distinct keys.
        now: answers that expired before it are left out.

    Yields:
        Some of the wanted keys, and one row for each, with the columns of `Enrichment.kept`.
    """
    wanted_texts = composite_key(to_table(wanted, enrichment.key).columns)
    for _, staged in _read_staged(lake, enrichment):  # first, since a concurrent merge moves answers to the table
        yield _select_wanted(staged.filter(_is_unexpired(enrichment, now)), enrichment, wanted, wanted_texts)
    table = delta.open_table(lake, enrichment.cache)
    for batch in _read_table(lake, table, enrichment, now) if table else ():
        yield _select_wanted(pa.table(batch), enrichment, wanted, wanted_texts)


def read_expiry(lake: Lake, enrichment: Enrichment) -> pa.Array:
    """Return when each merged answer of the enrichment's provider expires."""
    table = delta.open_table(lake, enrichment.cache)
    if table is None:
        return pa.array([], TIMESTAMP_UTC)
    rows = delta.dataset(lake, enrichment.cache, table)
    of_provider = pc.field("provider") == enrichment.provider
    return rows.to_table(columns=["expires_at"], filter=of_provider)["expires_at"].cast(TIMESTAMP_UTC).combine_chunks()


def stage_answers(lake: Lake, enrichment: Enrichment, keys: Iterable[Key], answers: pa.Table, now: datetime) -> None:
    """
    Stage answers in one file; those without a time-to-live are left out.

    Args:
        keys: distinct keys.
        answers: one row per key, in order, as `enrichment.Call` returns them.
        now: time of the look-up.
    """
    expires_at = pc.add(pa.scalar(now, TIMESTAMP_UTC), answers[KEEP_FOR])
    provenance = pa.repeat(enrichment.provider, len(answers)), pa.repeat(pa.scalar(now, TIMESTAMP_UTC), len(answers))
    answer_columns = answers.drop_columns([KEEP_FOR]).columns
    columns = *to_table(keys, enrichment.key).columns, *answer_columns, *provenance, expires_at
    rows = pa.table(columns, schema=schema(enrichment)).filter(expires_at.is_valid())
    if rows.num_rows:
        put_table(lake, _staging_folder(enrichment), rows)


def merge(lake: Lake, enrichment: Enrichment) -> int:
    """
    Merge all staged answers into the cache table.

    Idempotent and safe to run at any time: the newest answer of each key and provider is kept.

    Returns:
        Number of keys with a staged answer.

    Raises:
        CommitFailedError: every attempt to commit conflicted with another writer.
    """
    staged = dict(_read_staged(lake, enrichment))
    if not staged:
        return 0
    newest = _newest(pa.concat_tables(staged.values()), enrichment)
    delta.retry_on_conflict(lambda: _upsert(lake, enrichment, newest))
    delete_files(lake, list(staged))
    return len(newest)


def purge(lake: Lake, name: str, now: datetime) -> None:
    """
    Delete the expired answers of a cache.

    Args:
        name: the cache table.
        now: answers that expire at or before it are deleted.

    Raises:
        CommitFailedError: every attempt to commit conflicted with another writer.
    """
    delta.retry_on_conflict(lambda: _purge(lake, name, now))


def _purge(lake: Lake, name: str, now: datetime) -> None:
    table, is_expired = delta.open_table(lake, name), pc.field("expires_at") <= pa.scalar(now, TIMESTAMP_UTC)
    if table and delta.dataset(lake, name, table).count_rows(filter=is_expired):
        table.delete(f"expires_at <= '{now.isoformat()}'")


def _upsert(lake: Lake, enrichment: Enrichment, newest: pa.Table) -> None:
    table = delta.open_or_create(
        lake, enrichment.cache, schema(enrichment), statistics=["looked_up_at"], partition_by=["provider"]
    )
    same = [
        f"(target.{quote_identifier(c)} IS NOT DISTINCT FROM source.{quote_identifier(c)})"
        for c in (*enrichment.key.names, "provider")
    ]
    (
        table.merge(newest, " AND ".join(same), source_alias="source", target_alias="target", merge_schema=True)
        .when_matched_update_all("source.looked_up_at >= target.looked_up_at")
        .when_not_matched_insert_all()
        .execute()
    )


def _newest(answers: pa.Table, enrichment: Enrichment) -> pa.Table:
    """Keep one answer per key and provider: two runs may have staged the same key."""
    ordered = answers.sort_by([("looked_up_at", "descending")])
    numbered = ordered.append_column("_row", pa.array(range(ordered.num_rows), pa.int64()))
    first = numbered.group_by([*enrichment.key.names, "provider"], use_threads=False).aggregate([("_row", "min")])
    return ordered.take(first["_row_min"])


def _read_table(lake: Lake, table: DeltaTable, enrichment: Enrichment, now: datetime) -> Iterator[pa.RecordBatch]:
    rows, wanted = delta.dataset(lake, enrichment.cache, table), [*enrichment.key.names, *enrichment.kept.names]
    columns = [name for name in wanted if name in rows.schema.names]
    yield from rows.to_batches(columns=columns, filter=_is_unexpired(enrichment, now))


def _is_unexpired(enrichment: Enrichment, now: datetime) -> pc.Expression:
    return (pc.field("provider") == enrichment.provider) & (pc.field("expires_at") > pa.scalar(now, TIMESTAMP_UTC))


def _select_wanted(
    answers: pa.Table, enrichment: Enrichment, wanted: Sequence[Key], wanted_texts: pa.Array
) -> tuple[list[Key], pa.Table]:
    keys = answers.select(enrichment.key.names).cast(enrichment.key)
    numbers = pc.index_in(composite_key(keys.columns), value_set=wanted_texts)
    rows = _conform(answers.filter(numbers.is_valid()), enrichment.kept)
    return [wanted[number] for number in numbers.drop_null().to_pylist()], rows


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of a schema; one that an earlier version did not write is NULL."""
    known = rows.column_names
    columns = [rows[f.name].cast(f.type) if f.name in known else pa.nulls(len(rows), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def _read_staged(lake: Lake, enrichment: Enrichment) -> Iterator[tuple[str, pa.Table]]:
    """Read the staged files; skip a file that another run has merged into the table and deleted meanwhile."""
    for path in list_files(lake, _staging_folder(enrichment)):
        try:
            yield path, _conform(get_table(lake, path), schema(enrichment))
        except FileNotFoundError:
            continue


def _staging_folder(enrichment: Enrichment) -> str:
    return f"_lookups/{enrichment.cache}"
