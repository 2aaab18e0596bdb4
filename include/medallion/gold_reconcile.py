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

from include.medallion import delta, gold_rewrite
from include.medallion.gold import SINK, position
from include.medallion.gold_files import Batch
from include.medallion.lake import Lake, open_parquet
from include.medallion.pipeline import Pipeline
from include.medallion.reconcile_keys import KEYS, Keys, cut
from include.medallion.reconcile_report import Difference
from include.medallion.schema import DELETED_AT, MOMENT, VERSION, quoted
from include.medallion.staging import staged
from include.medallion.window import check_same_source

_HELD, _LIVES, _THERE = f"{VERSION}.held", f"{VERSION}.lives", f"{VERSION}.there"  # no key column is called so


def compare(lake: Lake, pipeline: Pipeline, keys: Keys) -> Difference:
    """
    Delete what the source lost, as `pipeline.deletes` says, and count what else differs.

    Doing it again makes no commit.

    Raises:
        SourceChanged: the table was filled from another source meanwhile.
    """
    return delta.committed(lambda: _attempt(lake, pipeline, keys))


def rows(lake: Lake, pipeline: Pipeline) -> int:
    """Return how many rows the table has, from its log."""
    table = delta.open_table(lake, pipeline.gold.table)
    return delta.dataset(lake, pipeline.gold.table, table).count_rows() if table else 0


def _attempt(lake: Lake, pipeline: Pipeline, keys: Keys) -> Difference:
    table = delta.open_table(lake, pipeline.gold.table)
    check_same_source(SINK, position(table, pipeline, keys.window.source) if table else None, keys.window)
    if DELETED_AT not in table.schema().to_arrow().names:
        table.alter.add_columns(Field(DELETED_AT, PrimitiveType("timestamp")))
    living = missing = older = 0
    lost = []
    with _held(table, lake, pipeline, keys) as parts:
        for mine, theirs in parts:
            both = mine.join(theirs, pipeline.source.key, join_type="full outer")
            living += _count(both[_LIVES])
            absent, stale, gone = _judge(both, pipeline, keys)
            missing, older = missing + _count(absent), older + _count(stale)
            lost.append(both.filter(gone).select([*pipeline.source.key, _LIVES]))
    doomed = pa.concat_tables(lost)
    deleted = _delete(lake, table, pipeline, keys, doomed) if doomed.num_rows else 0
    return Difference(living - _count(doomed[_LIVES]), missing, older, deleted)


@contextmanager
def _held(
    table: DeltaTable, lake: Lake, pipeline: Pipeline, keys: Keys
) -> Iterator[Iterator[tuple[pa.Table, pa.Table]]]:
    """Lend, part by part, the keys of the source and those of the table, cut alike."""
    key = pipeline.source.key
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"part-{part.number:04d}.parquet" for part in keys.parts]
        with open_parquet(lake, staged(keys.window, KEYS, 0)) as first:
            types = {c: first.schema_arrow.field(c).type for c in key}
        schema = pa.schema([*types.items(), (_HELD, pa.int64()), (_LIVES, pa.bool_())])
        _spill(delta.dataset(lake, pipeline.gold.table, table), key, schema, files)
        yield ((_staged(lake, keys, part.number), pq.read_table(files[part.number])) for part in keys.parts)


def _spill(data: ds.Dataset, key: list[str], schema: pa.Schema, files: list[Path]) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(file, schema)) for file in files]
        for batch in data.to_batches(columns=[*key, VERSION, DELETED_AT]):
            columns = [*(batch.column(c) for c in [*key, VERSION]), batch.column(DELETED_AT).is_null()]
            arrays = [column.cast(f.type) for column, f in zip(columns, schema, strict=True)]
            for part, piece in cut(pa.RecordBatch.from_arrays(arrays, schema=schema), key, len(files)):
                writers[part].write_batch(piece)


def _staged(lake: Lake, keys: Keys, part: int) -> pa.Table:
    with open_parquet(lake, staged(keys.window, KEYS, part)) as file:
        rows = file.read()
    return rows.append_column(_THERE, pa.repeat(pa.scalar(value=True), rows.num_rows))


def _judge(both: pa.Table, pipeline: Pipeline, keys: Keys) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Tell of each key whether the table lacks it, has an older version, or has it though the source lost it."""
    lives, upto = _true(both[_LIVES]), keys.window.upto
    due = _true(pc.less(both[VERSION], upto))
    lost = pc.and_(both[_THERE].is_null(), _true(pc.less(both[_HELD], upto)))
    stale = pc.and_(pc.and_(due, lives), _true(pc.less(both[_HELD], both[VERSION])))
    return pc.and_not(due, lives), stale, pc.and_(lost, lives) if pipeline.deletes == "soft" else lost


def _delete(lake: Lake, table: DeltaTable, pipeline: Pipeline, keys: Keys, doomed: pa.Table) -> int:
    """Mark or remove the rows of these keys, unless a newer version came meanwhile; return how many."""
    lost, window = doomed.select(pipeline.source.key), keys.window
    batch = Batch(lake, table, pipeline, pa.schema(table.schema().to_arrow()), window, [], _commit(keys))
    deleted = gold_rewrite.delete(batch, lost, window.upto)
    return _merge(batch, lost) if deleted is None else deleted


def _merge(batch: Batch, lost: pa.Table) -> int:
    """Let delta-rs do it, where the table asks more of a writer, or the keys are many."""
    moment = pa.repeat(pa.scalar(batch.window.opened_at, MOMENT), lost.num_rows)
    source = lost.append_column(DELETED_AT, moment)
    merge = batch.table.merge(
        source,
        _match(source, batch.pipeline),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.encoding(batch.table),
        commit_properties=batch.commit,
    )
    old = f"target.{quoted(VERSION)} < {batch.window.upto}"
    if batch.pipeline.deletes == "hard":
        return merge.when_matched_delete(old).execute()["num_target_rows_deleted"]
    mark = {quoted(DELETED_AT): f"source.{quoted(DELETED_AT)}"}
    return merge.when_matched_update(mark, old).execute()["num_target_rows_updated"]


def _match(source: pa.Table, pipeline: Pipeline) -> str:
    """Return the MERGE condition: same key, within the range of an integer key (a text key may be a name: ADR 7)."""
    same = [f"target.{quoted(c)} = source.{quoted(c)}" for c in pipeline.source.key]
    numbers = [c for c in pipeline.source.key if pa.types.is_integer(source.schema.field(c).type)]
    ranges = {c: pc.min_max(source[c]).as_py() for c in numbers}
    return " AND ".join([*same, *(f"target.{quoted(c)} BETWEEN {r['min']} AND {r['max']}" for c, r in ranges.items())])


def _commit(keys: Keys) -> CommitProperties:
    about = {"medallion.batch": str(keys.window.batch_id), "medallion.mode": str(keys.window.mode)}
    return CommitProperties(about, max_commit_retries=0)  # a lost race is decided anew on the refreshed table


def _true(mask: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(mask, fill_value=False)


def _count(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
