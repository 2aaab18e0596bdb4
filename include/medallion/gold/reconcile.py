"""
Gold beside the source: differences counted part by part, deletes applied in one commit.

The keys of the table are cut into files on this machine by the hash that cut
the source's, so that memory holds one part of each. Then only the files that may
hold a deleted key are read, and those that do are written anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.schema import Field, PrimitiveType

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold import rewrite as gold_rewrite
from include.medallion.gold.files import GoldBatch
from include.medallion.gold.sink import SINK, position
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, open_parquet
from include.medallion.model.columns import DELETED_AT, TIMESTAMP_UTC, VERSION, quote_identifier
from include.medallion.model.differences import Difference
from include.medallion.model.keys import partition_by_text
from include.medallion.model.window import check_same_source
from include.medallion.staging.layout import KEYS, part_file
from include.medallion.staging.source_keys import SourceKeys

_TABLE_VERSION, _IS_LIVE, _IN_SOURCE = (
    f"{VERSION}.held",
    f"{VERSION}.lives",
    f"{VERSION}.there",
)  # no key column is called so


def compare(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Difference:
    """
    Delete what the source lost, as `pipeline.deletes` says, and count what else differs.

    Doing it again makes no commit.

    Raises:
        SourceChanged: the table was filled from another source meanwhile.
    """
    return delta.retry_on_conflict(lambda: _try_compare(lake, pipeline, keys))


def count_rows(lake: Lake, pipeline: Pipeline) -> int:
    """Return how many rows the table has, from its log."""
    table = delta.open_table(lake, pipeline.gold.table)
    return delta.dataset(lake, pipeline.gold.table, table).count_rows() if table else 0


def _try_compare(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Difference:
    table = delta.open_table(lake, pipeline.gold.table)
    check_same_source(SINK, position(table, pipeline, keys.window.source) if table else None, keys.window)
    if DELETED_AT not in table.schema().to_arrow().names:
        table.alter.add_columns(Field(DELETED_AT, PrimitiveType("timestamp")))
    living = missing = older = 0
    lost = []
    with _partitioned_keys(table, lake, pipeline, keys) as parts:
        for mine, theirs in parts:
            both = mine.join(theirs, pipeline.source.key, join_type="full outer")
            living += _count(both[_IS_LIVE])
            absent, stale, gone = _compare_keys(both, pipeline, keys)
            missing, older = missing + _count(absent), older + _count(stale)
            lost.append(both.filter(gone).select([*pipeline.source.key, _IS_LIVE]))
    doomed = pa.concat_tables(lost)
    deleted = _delete(lake, table, pipeline, keys, doomed) if doomed.num_rows else 0
    return Difference(living - _count(doomed[_IS_LIVE]), missing, older, deleted)


@contextmanager
def _partitioned_keys(
    table: DeltaTable, lake: Lake, pipeline: Pipeline, keys: SourceKeys
) -> Iterator[Iterator[tuple[pa.Table, pa.Table]]]:
    """Lend, part by part, the keys of the source and those of the table, cut alike."""
    key = pipeline.source.key
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"part-{part.number:04d}.parquet" for part in keys.parts]
        with open_parquet(lake, part_file(keys.window, KEYS, 0)) as first:
            types = {c: first.schema_arrow.field(c).type for c in key}
        schema = pa.schema([*types.items(), (_TABLE_VERSION, pa.int64()), (_IS_LIVE, pa.bool_())])
        _spill_keys(delta.dataset(lake, pipeline.gold.table, table), key, schema, files)
        yield ((_read_source_keys(lake, keys, part.number), pq.read_table(files[part.number])) for part in keys.parts)


def _spill_keys(data: ds.Dataset, key: list[str], schema: pa.Schema, files: list[Path]) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(file, schema)) for file in files]
        for batch in data.to_batches(columns=[*key, VERSION, DELETED_AT]):
            columns = [*(batch.column(c) for c in [*key, VERSION]), batch.column(DELETED_AT).is_null()]
            arrays = [column.cast(f.type) for column, f in zip(columns, schema, strict=True)]
            for part, piece in partition_by_text(pa.RecordBatch.from_arrays(arrays, schema=schema), key, len(files)):
                writers[part].write_batch(piece)


def _read_source_keys(lake: Lake, keys: SourceKeys, part: int) -> pa.Table:
    with open_parquet(lake, part_file(keys.window, KEYS, part)) as file:
        rows = file.read()
    return rows.append_column(_IN_SOURCE, pa.repeat(pa.scalar(value=True), rows.num_rows))


def _compare_keys(both: pa.Table, pipeline: Pipeline, keys: SourceKeys) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Tell of each key whether the table lacks it, has an older version, or has it though the source lost it."""
    lives, upto = _null_is_false(both[_IS_LIVE]), keys.window.upto
    due = _null_is_false(pc.less(both[VERSION], upto))
    lost = pc.and_(both[_IN_SOURCE].is_null(), _null_is_false(pc.less(both[_TABLE_VERSION], upto)))
    stale = pc.and_(pc.and_(due, lives), _null_is_false(pc.less(both[_TABLE_VERSION], both[VERSION])))
    return pc.and_not(due, lives), stale, pc.and_(lost, lives) if pipeline.deletes == "soft" else lost


def _delete(lake: Lake, table: DeltaTable, pipeline: Pipeline, keys: SourceKeys, doomed: pa.Table) -> int:
    """Mark or remove the rows of these keys, unless a newer version came meanwhile; return how many."""
    lost, window = doomed.select(pipeline.source.key), keys.window
    batch = GoldBatch(lake, table, pipeline, pa.schema(table.schema().to_arrow()), window, [], _commit(keys))
    deleted = gold_rewrite.delete_rows(batch, lost, window.upto)
    return _merge_deletes(batch, lost) if deleted is None else deleted


def _merge_deletes(batch: GoldBatch, lost: pa.Table) -> int:
    """Let delta-rs do it, where the table asks more of a writer, or the keys are many."""
    moment = pa.repeat(pa.scalar(batch.window.opened_at, TIMESTAMP_UTC), lost.num_rows)
    source = lost.append_column(DELETED_AT, moment)
    merge = batch.table.merge(
        source,
        _match(source, batch.pipeline),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(batch.table),
        commit_properties=batch.commit,
    )
    old = f"target.{quote_identifier(VERSION)} < {batch.window.upto}"
    if batch.pipeline.deletes == "hard":
        return merge.when_matched_delete(old).execute()["num_target_rows_deleted"]
    mark = {quote_identifier(DELETED_AT): f"source.{quote_identifier(DELETED_AT)}"}
    return merge.when_matched_update(mark, old).execute()["num_target_rows_updated"]


def _match(source: pa.Table, pipeline: Pipeline) -> str:
    """Return the MERGE condition: same key, within the range of an integer key (a text key may be a name: ADR 7)."""
    same = [f"target.{quote_identifier(c)} = source.{quote_identifier(c)}" for c in pipeline.source.key]
    numbers = [c for c in pipeline.source.key if pa.types.is_integer(source.schema.field(c).type)]
    ranges = {c: pc.min_max(source[c]).as_py() for c in numbers}
    return " AND ".join(
        [*same, *(f"target.{quote_identifier(c)} BETWEEN {r['min']} AND {r['max']}" for c, r in ranges.items())]
    )


def _commit(keys: SourceKeys) -> CommitProperties:
    about = {"medallion.batch": str(keys.window.batch_id), "medallion.mode": str(keys.window.mode)}
    return CommitProperties(about, max_commit_retries=0)  # a lost race is decided anew on the refreshed table


def _null_is_false(mask: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(mask, fill_value=False)


def _count(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
