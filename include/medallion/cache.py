"""
Answers that were paid for: kept in a Delta table, so that none is paid for twice.

A new answer is first staged as a small file of its own (`keep`), at once and
outside any batch: whatever becomes of the run, the next one finds it. The
write of Gold then merges what is staged into the table (`merge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from include.medallion import delta
from include.medallion.enrichment import ABOUT, Answer, Answered, Enrichment
from include.medallion.keys import Key
from include.medallion.lake import Lake, delete, filesystem, keys, put
from include.medallion.schema import MOMENT, quoted


def schema(enrichment: Enrichment) -> pa.Schema:
    """Return the columns of the cache table: key, answer, who answered, when, and until when it may be used."""
    return pa.schema([*enrichment.key, *enrichment.answers, *ABOUT, pa.field("expires_at", MOMENT)])


def known(lake: Lake, enrichment: Enrichment, wanted: Mapping[Key, int], now: datetime) -> dict[Key, Answer]:
    """
    Return the answers that are still good for the wanted keys, merged or staged.

    Reads the provider's part of the cache batch by batch; memory holds only what is wanted.
    """
    found: dict[Key, Answer] = {}
    for _, staged in _staged(lake, enrichment):  # before the table: what leaves here meanwhile is there
        found |= _wanted(_good(staged, enrichment, now), enrichment, wanted)
    table = delta.open_table(lake, enrichment.cache)
    for batch in _stored(lake, table, enrichment, now) if table else ():
        found |= _wanted(batch, enrichment, wanted)
    return found


def keep(lake: Lake, enrichment: Enrichment, answered: Iterable[Answered], now: datetime) -> None:
    """Stage answers that may be used again."""
    rows = [
        {
            **dict(zip(enrichment.key.names, a.key, strict=True)),
            **a.answer,
            "provider": enrichment.provider,
            "looked_up_at": now,
            "expires_at": now + a.keep,
        }
        for a in answered
        if a.keep
    ]
    if rows:
        put(lake, _prefix(enrichment), pa.Table.from_pylist(rows, schema(enrichment)))


def merge(lake: Lake, enrichment: Enrichment) -> int:
    """
    Merge all staged answers into the cache table; return how many keys they answered.

    May run at any time and again: the newest answer of a key stays.
    """
    staged = dict(_staged(lake, enrichment))
    if not staged:
        return 0
    newest = _newest(pa.concat_tables(staged.values()), enrichment)
    delta.committed(lambda: _upsert(lake, enrichment, newest))
    delete(lake, list(staged))
    return newest.num_rows


def purge(lake: Lake, name: str, now: datetime) -> None:
    """Delete the answers of a cache that may not be kept any longer: they are not used, whoever needs one asks anew."""
    delta.committed(lambda: _purge(lake, name, now))


def _purge(lake: Lake, name: str, now: datetime) -> None:
    table, expired = delta.open_table(lake, name), pc.field("expires_at") <= pa.scalar(now, MOMENT)
    if table and delta.dataset(lake, name, table).count_rows(filter=expired):
        table.delete(f"expires_at <= '{now.isoformat()}'")


def _upsert(lake: Lake, enrichment: Enrichment, newest: pa.Table) -> None:
    table = delta.open_or_create(
        lake, enrichment.cache, schema(enrichment), statistics=["looked_up_at"], partition_by=["provider"]
    )
    same = [
        f"(target.{quoted(c)} IS NOT DISTINCT FROM source.{quoted(c)})" for c in (*enrichment.key.names, "provider")
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


def _stored(lake: Lake, table: DeltaTable, enrichment: Enrichment, now: datetime) -> Iterable[pa.RecordBatch]:
    columns = [*enrichment.key.names, *enrichment.answers.names, *ABOUT.names]
    return delta.dataset(lake, enrichment.cache, table).to_batches(columns=columns, filter=_alive(enrichment, now))


def _good(answers: pa.Table, enrichment: Enrichment, now: datetime) -> pa.Table:
    return answers.filter(_alive(enrichment, now))


def _alive(enrichment: Enrichment, now: datetime) -> pc.Expression:
    return (pc.field("provider") == enrichment.provider) & (pc.field("expires_at") > pa.scalar(now, MOMENT))


def _wanted(answers: pa.RecordBatch | pa.Table, enrichment: Enrichment, wanted: Mapping[Key, int]) -> dict[Key, Answer]:
    columns = [answers.column(c).to_pylist() for c in enrichment.key.names]
    rows = [i for i, key in enumerate(zip(*columns, strict=True)) if key in wanted]
    chosen = answers.take(pa.array(rows, pa.int64())).select([*enrichment.answers.names, *ABOUT.names]).to_pylist()
    return {tuple(c[i] for c in columns): answer for i, answer in zip(rows, chosen, strict=True)}


def _staged(lake: Lake, enrichment: Enrichment) -> Iterator[tuple[str, pa.Table]]:
    """Read the staged files; one that another run merges at this moment is gone, and in the table."""
    files = filesystem(lake)
    for key in keys(lake, _prefix(enrichment)):
        try:
            yield key, pq.read_table(lake.path(key), filesystem=files)
        except FileNotFoundError:
            continue


def _prefix(enrichment: Enrichment) -> str:
    return f"_lookups/{enrichment.cache}"
