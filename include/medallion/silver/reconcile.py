"""Compare Silver with the source: count differences, then apply deletes, in one transaction each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import read_schema
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.columns import (
    DELETED_AT,
    TIMESTAMP_UTC,
    columns_from_schema,
    quote_identifier,
    snowflake_name,
    typed_column,
)
from include.medallion.model.differences import Difference
from include.medallion.model.window import check_same_source
from include.medallion.silver.apply import SINK
from include.medallion.silver.ledger import correct_position, read_position, record_change
from include.medallion.silver.staging_table import Content, drop_orphans, staging_table
from include.medallion.silver.statements import run_sql, run_sql_all
from include.medallion.silver.table import definitions, table_name
from include.medallion.staging.records.source_keys import SourceKeys

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SUFFIX = "_KEYS"
_ORPHAN_AGE = timedelta(days=1)
_ANY_NUMBER = 1 << 60


@dataclass(frozen=True)
class SilverComparison:
    """
    Silver compared with the source. Implements `staging.sink.Comparison`.

    Args:
        table: staging table with the keys of the source.
    """

    cursor: SnowflakeCursor
    lake: Lake
    pipeline: Pipeline
    keys: SourceKeys
    table: str
    difference: Difference

    def faulty_keys(self, *, repeated: bool, limit: int) -> pa.Table:
        """Return the keys of the rows to be repaired."""
        content = _content(self.lake, self.pipeline, self.keys)
        params = _sql_params(self.pipeline, self.keys, self.table)
        most = 1 if repeated else _ANY_NUMBER
        found = run_sql_all(self.cursor, "faulty", **params, most=most, limit=limit)
        names = {column.name: column.type for column in content.columns}
        values = zip(*found, strict=True) if found else ((),) * len(self.pipeline.key)
        arrays = [pa.array(list(v), names[name]) for name, v in zip(self.pipeline.key, values, strict=True)]
        return pa.table(arrays, names=self.pipeline.key)

    def delete(self) -> int:
        """Mark or remove the lost rows in one transaction; return how many."""
        if self.pipeline.deletes == "soft" and not self.difference.gone:
            return 0
        params = _sql_params(self.pipeline, self.keys, self.table)
        with _transaction(self.cursor, self.pipeline, self.keys):
            correct_position(self.cursor, self.pipeline)
            deleted = int(run_sql(self.cursor, f"delete_{self.pipeline.deletes}", **params)[0])
            if deleted:
                record_change(self.cursor, self.pipeline)
            return deleted


@contextmanager
def compare(cursor: SnowflakeCursor, lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Iterator[SilverComparison]:
    """
    Compare Silver with the source.

    Raises:
        SourceChanged: the table was emptied or filled from another source meanwhile.
    """
    deleted_at = definitions([typed_column(DELETED_AT, TIMESTAMP_UTC)])
    cursor.execute(f"ALTER TABLE {table_name(pipeline)} ADD COLUMN IF NOT EXISTS {deleted_at}")
    with staging_table(cursor, lake, keys.window, _content(lake, pipeline, keys)) as table:
        yield SilverComparison(cursor, lake, pipeline, keys, table, _count_differences(cursor, pipeline, keys, table))
    # a day later: until then another reconcile may still use its table
    drop_orphans(cursor, pipeline, new_batch_id(keys.window.opened_at - _ORPHAN_AGE, 0), SUFFIX)


def _content(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Content:
    files = [file for part in keys.parts for file in part.files]
    columns = columns_from_schema(read_schema(lake, files[0].path, files[0].info))
    return Content(columns, pipeline.key, files, SUFFIX)


def _count_differences(cursor: SnowflakeCursor, pipeline: Pipeline, keys: SourceKeys, table: str) -> Difference:
    with _transaction(cursor, pipeline, keys):
        live, missing, older, gone, repeated = run_sql(cursor, "compare", **_sql_params(pipeline, keys, table))
    return Difference(live, missing, older, gone, repeated=repeated)


@contextmanager
def _transaction(cursor: SnowflakeCursor, pipeline: Pipeline, keys: SourceKeys) -> Iterator[None]:
    """
    Run statements in one transaction, which is rolled back if the table turns out to hold another source.

    The ledger is read after a write, which waits for another writer of the table: then it has that writer's row.

    Raises:
        SourceChanged: the table was emptied or filled from another source meanwhile.
    """
    cursor.execute("BEGIN")
    try:
        yield
        check_same_source(SINK, read_position(cursor, pipeline), keys.window)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise


def _sql_params(pipeline: Pipeline, keys: SourceKeys, table: str) -> dict[str, object]:
    key = [quote_identifier(snowflake_name(c)) for c in pipeline.key]
    return {
        "target": table_name(pipeline),
        "staged": table,
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "lost_key": " AND ".join(f"d.{k} = k.{k}" for k in key),
        "lost": f"k.{key[0]} IS NULL",
        "has_key": " AND ".join(f"d.{k} IS NOT NULL" for k in key),
        "key_of_s": ", ".join(f"s.{k}" for k in key),
        "key_of_d": ", ".join(f"d.{k}" for k in key),
        "upto": keys.window.upto,
        "deleted_at": keys.window.opened_at.isoformat(),
    }
