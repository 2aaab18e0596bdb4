"""
Compare Gold with the source: count differences part by part, and apply deletes in one commit.

The keys of the table are partitioned into local files by the hash that partitioned the source's, so that memory holds
one part of each. Then only the files that may hold a deleted key are read, and those that do are rewritten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.schema import Field, PrimitiveType

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.inspect import missing_files, open_gold
from include.medallion.gold.log import SINK, commit_properties, read_position
from include.medallion.gold.write import rewrite
from include.medallion.gold.write.files import GoldBatch, stat_columns
from include.medallion.gold.write.keys import merge_predicate
from include.medallion.gold.write.match import is_older
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import read_schema
from include.medallion.model.columns import DELETED_AT, TIMESTAMP_UTC, VERSION, quote_identifier
from include.medallion.model.differences import Difference
from include.medallion.model.keys import partition_by_key
from include.medallion.model.window import check_same_source, emptied
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.parts import Part
from include.medallion.staging.records.source_keys import SourceKeys

if TYPE_CHECKING:
    import pyarrow.dataset as ds  # imports pandas, which most runs do not need

_TABLE_VERSION, _IS_LIVE, _IN_SOURCE = (
    f"{VERSION}.held",
    f"{VERSION}.lives",
    f"{VERSION}.there",
)  # no key column is called so


@dataclass(frozen=True)
class GoldComparison:
    """
    Gold compared with the source. Implements `staging.sink.Comparison`.

    Args:
        difference: counts.
        lost: keys of rows that the source lost, and whether the row is live.
        faulty: keys of rows that the table lacks or has in an older version.
        repeated: keys that it has more than once.
    """

    lake: Lake
    pipeline: Pipeline
    keys: SourceKeys
    difference: Difference
    lost: pa.Table
    faulty: pa.Table
    repeated: pa.Table

    def faulty_keys(self, *, repeated: bool, limit: int) -> pa.Table:
        """Return the keys of the rows to be repaired."""
        found = [self.faulty, self.repeated] if repeated else [self.faulty]
        return pa.concat_tables(found).slice(0, limit)

    def delete(self) -> int:
        """Mark or remove the lost rows in one commit, unless newer versions came meanwhile; return how many."""
        if not self.lost.num_rows:
            return 0
        with missing_files(self.pipeline):
            return delta.retry_on_conflict(self._try_delete)

    def _try_delete(self) -> int:
        return _delete(self.lake, _open_same(self.lake, self.pipeline, self.keys), self.pipeline, self.keys, self.lost)


def compare(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> GoldComparison:
    """
    Compare Gold with the source.

    Raises:
        SourceChanged: the table was emptied or filled from another source meanwhile.
    """
    return delta.retry_on_conflict(lambda: _try_compare(lake, pipeline, keys))


def _open_same(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> DeltaTable:
    table = open_gold(lake, pipeline)
    if table is None:
        raise emptied(SINK, keys.window)
    check_same_source(SINK, read_position(lake, pipeline, table, keys.window.source), keys.window)
    return table


def _try_compare(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> GoldComparison:
    table = _open_same(lake, pipeline, keys)
    if DELETED_AT not in table.schema().to_arrow().names:
        table.alter.add_columns(Field(DELETED_AT, PrimitiveType("timestamp")))
    live = missing = older = 0
    lost, faulty, repeated = [], [], []
    with _partitioned_keys(table, lake, pipeline, keys) as parts:
        for mine, theirs in parts:
            both = mine.join(theirs, pipeline.key, join_type="full outer")
            live += _count(both[_IS_LIVE])
            absent, stale, gone = _compare_keys(both, pipeline, keys)
            missing, older = missing + _count(absent), older + _count(stale)
            lost.append(both.filter(gone).select([*pipeline.key, _IS_LIVE]))
            faulty.append(both.filter(pc.or_(absent, stale)).select(pipeline.key))
            repeated.append(_repeated_keys(mine, theirs, pipeline.key, keys.window.upto))
    to_delete, twice = pa.concat_tables(lost), pa.concat_tables(repeated)
    difference = Difference(live, missing, older, _count(to_delete[_IS_LIVE]), repeated=twice.num_rows)
    return GoldComparison(lake, pipeline, keys, difference, to_delete, pa.concat_tables(faulty), twice)


@contextmanager
def _partitioned_keys(
    table: DeltaTable, lake: Lake, pipeline: Pipeline, keys: SourceKeys
) -> Iterator[Iterator[tuple[pa.Table, pa.Table]]]:
    """Lend, part by part, the keys of the source and those of the table, partitioned alike."""
    key, first = pipeline.key, keys.parts[0].files[0]
    staged = read_schema(lake, first.path, first.info)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"part-{part.number:04d}.parquet" for part in keys.parts]
        types = {name: staged.field(name).type for name in key}
        schema = pa.schema([*types.items(), (_TABLE_VERSION, pa.int64()), (_IS_LIVE, pa.bool_())])
        _spill_keys(delta.dataset(lake, pipeline.gold_table, table), key, schema, files)
        yield ((_read_source_keys(lake, part), pq.read_table(files[part.number])) for part in keys.parts)


def _spill_keys(data: ds.Dataset, key: list[str], schema: pa.Schema, files: list[Path]) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(file, schema)) for file in files]
        for batch in data.to_batches(columns=[*key, VERSION, DELETED_AT]):
            columns = [*(batch.column(c) for c in [*key, VERSION]), batch.column(DELETED_AT).is_null()]
            arrays = [column.cast(f.type) for column, f in zip(columns, schema, strict=True)]
            rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
            for part, piece in partition_by_key(rows, key, len(files)):
                writers[part].write_batch(piece)


def _read_source_keys(lake: Lake, part: Part) -> pa.Table:
    rows = read_staged_table(lake, part.files[0])
    return rows.append_column(_IN_SOURCE, pa.repeat(pa.scalar(value=True), rows.num_rows))


def _compare_keys(both: pa.Table, pipeline: Pipeline, keys: SourceKeys) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return for each key whether the table lacks it, has an older version, or has it though the source lost it."""
    lives, upto = _null_is_false(both[_IS_LIVE]), keys.window.upto
    due = _null_is_false(pc.less(both[VERSION], upto))
    old = pc.fill_null(pc.less(both[_TABLE_VERSION], upto), fill_value=True)  # another writer's row has no version
    lost = pc.and_(both[_IN_SOURCE].is_null(), old)
    for name in pipeline.key:
        lost = pc.and_(lost, both[name].is_valid())
    stale = pc.and_(pc.and_(due, lives), _null_is_false(pc.less(both[_TABLE_VERSION], both[VERSION])))
    return pc.and_not(due, lives), stale, pc.and_(lost, lives) if pipeline.deletes == "soft" else lost


def _repeated_keys(mine: pa.Table, theirs: pa.Table, key: list[str], upto: int) -> pa.Table:
    """Return the keys that are due and that the table has more than once."""
    counts = theirs.group_by(key).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1)).select(key)
    if not twice.num_rows:
        return twice
    due = mine.filter(_null_is_false(pc.less(mine[VERSION], upto))).select(key)
    return twice.join(due, key, join_type="inner").select(key)


def _delete(lake: Lake, table: DeltaTable, pipeline: Pipeline, keys: SourceKeys, lost: pa.Table) -> int:
    """Mark or remove the rows of these keys, unless a newer version came meanwhile; return how many."""
    wanted, schema = lost.select(pipeline.key), pa.schema(table.schema().to_arrow())
    batch = GoldBatch(lake, pipeline, keys.window, (), table, schema, commit_properties(keys.window))
    upto = pa.repeat(pa.scalar(keys.window.upto, pa.int64()), wanted.num_rows)
    deleted = rewrite.delete_rows(batch, wanted.append_column(VERSION, upto), is_older, (DELETED_AT,))
    return _merge_deletes(batch, wanted) if deleted is None else deleted


def _merge_deletes(batch: GoldBatch, lost: pa.Table) -> int:
    """Delete by MERGE, where the table requires more of a writer, or the keys are many."""
    deleted_at = pa.repeat(pa.scalar(batch.window.opened_at, TIMESTAMP_UTC), lost.num_rows)
    merge = batch.table.merge(
        lost.append_column(DELETED_AT, deleted_at),
        merge_predicate(batch.key, _ranges(lost)),
        source_alias="source",
        target_alias="target",
        writer_properties=delta.writer_properties(batch.table),
        commit_properties=batch.commit,
    )
    version = f"target.{quote_identifier(VERSION)}"
    old = f"({version} < {batch.window.upto} OR {version} IS NULL)"
    if batch.pipeline.deletes == "hard":
        return int(merge.when_matched_delete(old).execute()["num_target_rows_deleted"])
    mark = {quote_identifier(DELETED_AT): f"source.{quote_identifier(DELETED_AT)}"}
    return int(merge.when_matched_update(mark, old).execute()["num_target_rows_updated"])


def _ranges(keys: pa.Table) -> dict[str, tuple[int, int]]:
    """Return the least and greatest value of each integer key column (a text key may be a name: ADR 7)."""
    found = {name: pc.min_max(keys[name]).as_py() for name in stat_columns(keys.column_names, keys.schema)}
    return {name: (bounds["min"], bounds["max"]) for name, bounds in found.items()}


def _null_is_false(mask: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(mask, fill_value=False)


def _count(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
