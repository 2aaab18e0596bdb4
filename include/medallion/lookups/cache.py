"""
Answers that were paid for: kept in a Delta table, so that none is paid for twice.

A new answer is first staged as a small file of its own (`keep`), at once and
outside any batch: whatever becomes of the run, the next one finds it. The
write of Gold then merges what is staged into the table (`merge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, delete_files, get_table, list_files, put_table
from include.medallion.lookups.enrichment import KEEP_FOR, Enrichment
from include.medallion.model.columns import TIMESTAMP_UTC, quote_identifier
from include.medallion.model.keys import Key, composite_key, to_table


def schema(enrichment: Enrichment) -> pa.Schema:
    """Return the columns of the cache table: key, answer, who answered, when, and until when it may be used."""
    return pa.schema([*enrichment.key, *enrichment.kept, pa.field("expires_at", TIMESTAMP_UTC)])


def find_answers(
    lake: Lake, enrichment: Enrichment, wanted: Sequence[Key], now: datetime
) -> Iterator[tuple[list[Key], pa.Table]]:
    """
    Yield some of the wanted keys, and rows with their answers (`Enrichment.kept`): all that are still good.

    They are merged or staged; of two answers to one key the later one counts. Reads the provider's part of the cache
    batch by batch; memory holds only what is wanted.
    """
    spelt = composite_key(to_table(wanted, enrichment.key).columns)
    for _, staged in _read_staged(lake, enrichment):  # before the table: what leaves here meanwhile is there
        yield _select_wanted(_unexpired(staged, enrichment, now), enrichment, wanted, spelt)
    table = delta.open_table(lake, enrichment.cache)
    for batch in _read_table(lake, table, enrichment, now) if table else ():
        yield _select_wanted(pa.table(batch), enrichment, wanted, spelt)


def stage_answers(lake: Lake, enrichment: Enrichment, keys: Iterable[Key], answers: pa.Table, now: datetime) -> None:
    """Stage answers that may be used again: those of what a call returned that have a life."""
    expire = pc.add(pa.scalar(now, TIMESTAMP_UTC), answers[KEEP_FOR])
    about = pa.repeat(enrichment.provider, answers.num_rows), pa.repeat(pa.scalar(now, TIMESTAMP_UTC), answers.num_rows)
    columns = *to_table(keys, enrichment.key).columns, *answers.drop_columns([KEEP_FOR]).columns, *about, expire
    rows = pa.table(columns, schema=schema(enrichment)).filter(expire.is_valid())
    if rows.num_rows:
        put_table(lake, _prefix(enrichment), rows)


def merge(lake: Lake, enrichment: Enrichment) -> int:
    """
    Merge all staged answers into the cache table; return how many keys they answered.

    May run at any time and again: the newest answer of a key stays.
    """
    staged = dict(_read_staged(lake, enrichment))
    if not staged:
        return 0
    newest = _newest(pa.concat_tables(staged.values()), enrichment)
    delta.retry_on_conflict(lambda: _upsert(lake, enrichment, newest))
    delete_files(lake, list(staged))
    return newest.num_rows


def purge(lake: Lake, name: str, now: datetime) -> None:
    """Delete the answers of a cache that may not be kept any longer: they are not used, whoever needs one asks anew."""
    delta.retry_on_conflict(lambda: _purge(lake, name, now))


def _purge(lake: Lake, name: str, now: datetime) -> None:
    table, expired = delta.open_table(lake, name), pc.field("expires_at") <= pa.scalar(now, TIMESTAMP_UTC)
    if table and delta.dataset(lake, name, table).count_rows(filter=expired):
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
    """Keep one answer per key and provider: two runs may have staged the same."""
    ordered = answers.sort_by([("looked_up_at", "descending")])
    numbered = ordered.append_column("_row", pa.array(range(ordered.num_rows), pa.int64()))
    first = numbered.group_by([*enrichment.key.names, "provider"], use_threads=False).aggregate([("_row", "min")])
    return ordered.take(first["_row_min"])


def _read_table(lake: Lake, table: DeltaTable, enrichment: Enrichment, now: datetime) -> Iterable[pa.RecordBatch]:
    columns = [*enrichment.key.names, *enrichment.kept.names]
    return delta.dataset(lake, enrichment.cache, table).to_batches(
        columns=columns, filter=_is_unexpired(enrichment, now)
    )


def _unexpired(answers: pa.Table, enrichment: Enrichment, now: datetime) -> pa.Table:
    return answers.filter(_is_unexpired(enrichment, now))


def _is_unexpired(enrichment: Enrichment, now: datetime) -> pc.Expression:
    return (pc.field("provider") == enrichment.provider) & (pc.field("expires_at") > pa.scalar(now, TIMESTAMP_UTC))


def _select_wanted(
    answers: pa.Table, enrichment: Enrichment, wanted: Sequence[Key], spelt: pa.Array
) -> tuple[list[Key], pa.Table]:
    keys = answers.select(enrichment.key.names).cast(enrichment.key)
    at = pc.index_in(composite_key(keys.columns), value_set=spelt)
    rows = answers.select(enrichment.kept.names).filter(at.is_valid()).cast(enrichment.kept)
    return [wanted[number] for number in at.drop_null().to_pylist()], rows


def _read_staged(lake: Lake, enrichment: Enrichment) -> Iterator[tuple[str, pa.Table]]:
    """Read the staged files; one that another run merges at this moment is gone, and in the table."""
    for key in list_files(lake, _prefix(enrichment)):
        try:
            yield key, get_table(lake, key)
        except FileNotFoundError:
            continue


def _prefix(enrichment: Enrichment) -> str:
    return f"_lookups/{enrichment.cache}"
