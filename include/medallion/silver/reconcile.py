"""Compare Silver with the source: apply deletes and count differences, in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake, read_schema
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
from include.medallion.silver.ledger import read_position
from include.medallion.silver.staging_table import Content, drop_orphans, staging_table
from include.medallion.silver.statements import run_sql
from include.medallion.silver.table import definitions, table_name
from include.medallion.staging.source_keys import SourceKeys

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SUFFIX = "_KEYS"
_ORPHAN_AGE = timedelta(days=1)


def compare(cursor: SnowflakeCursor, lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Difference:
    """
    Delete what the source lost, as `pipeline.deletes` says, and count what else differs. Idempotent.

    Raises:
        SourceChanged: the table was emptied or filled from another source meanwhile.
    """
    deleted_at = definitions([typed_column(DELETED_AT, TIMESTAMP_UTC)])
    cursor.execute(f"ALTER TABLE {table_name(pipeline)} ADD COLUMN IF NOT EXISTS {deleted_at}")
    with staging_table(cursor, lake, keys.window, _content(lake, pipeline, keys)) as table:
        difference = _compare(cursor, pipeline, keys, table)
    # a day later: until then another reconcile may still use its table
    drop_orphans(cursor, pipeline, new_batch_id(keys.window.opened_at - _ORPHAN_AGE, 0), SUFFIX)
    return difference


def _content(lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Content:
    files = [file for part in keys.parts for file in part.files]
    columns = columns_from_schema(read_schema(lake, files[0].path, files[0].info))
    return Content(columns, pipeline.key, files, SUFFIX)


def _compare(cursor: SnowflakeCursor, pipeline: Pipeline, keys: SourceKeys, table: str) -> Difference:
    params = _sql_params(pipeline, keys, table)
    cursor.execute("BEGIN")
    try:
        deleted = run_sql(cursor, f"delete_{pipeline.deletes}", **params)[0]
        # after the write, which waits for another writer of the table: now the ledger has that writer's row
        check_same_source(SINK, read_position(cursor, pipeline), keys.window)
        live, missing, older = run_sql(cursor, "compare", **params)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Difference(live, missing, older, deleted)


def _sql_params(pipeline: Pipeline, keys: SourceKeys, table: str) -> dict[str, object]:
    key = [quote_identifier(snowflake_name(c)) for c in pipeline.key]
    return {
        "target": table_name(pipeline),
        "staged": table,
        "same_key": " AND ".join(f"t.{k} = s.{k}" for k in key),
        "lost_key": " AND ".join(f"d.{k} = k.{k}" for k in key),
        "lost": f"k.{key[0]} IS NULL",
        "key_of_d": ", ".join(f"d.{k}" for k in key),
        "upto": keys.window.upto,
        "deleted_at": keys.window.opened_at.isoformat(),
    }
