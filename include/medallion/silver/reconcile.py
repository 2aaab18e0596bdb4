"""Silver beside the source: deletes applied and differences counted, in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import DELETED_AT, TIMESTAMP_UTC, quote_identifier, snowflake_name, typed_column
from include.medallion.model.differences import Difference
from include.medallion.model.window import check_same_source, new_batch_id
from include.medallion.silver.sink import SINK, position, table_name
from include.medallion.silver.staging_table import definitions, drop_orphans, run_sql, staged_table
from include.medallion.staging.layout import KEYS
from include.medallion.staging.parts import staged_columns
from include.medallion.staging.source_keys import SourceKeys

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SUFFIX = "_KEYS"
_ORPHAN_AGE = timedelta(days=1)


def compare(connection: SnowflakeConnection, lake: Lake, pipeline: Pipeline, keys: SourceKeys) -> Difference:
    """
    Delete what the source lost, as `pipeline.deletes` says, and count what else differs.

    Doing it again changes nothing.

    Raises:
        SourceChanged: the table was filled from another source meanwhile.
    """
    columns = staged_columns(lake, keys.window, KEYS, keys.parts[0])
    with connection.cursor() as cursor:
        added = definitions([typed_column(DELETED_AT, TIMESTAMP_UTC)])
        cursor.execute(f"ALTER TABLE {table_name(pipeline)} ADD COLUMN IF NOT EXISTS {added}")
        with staged_table(cursor, lake, pipeline, columns, keys.window, keys.parts, KEYS, SUFFIX) as table:
            difference = _compare(cursor, pipeline, keys, table)
        # a day later: until then another reconcile may still be at work on its own
        drop_orphans(cursor, pipeline, new_batch_id(keys.window.opened_at - _ORPHAN_AGE, 0), SUFFIX)
        return difference


def _compare(cursor: SnowflakeCursor, pipeline: Pipeline, keys: SourceKeys, table: str) -> Difference:
    words = _sql_params(pipeline, keys, table)
    cursor.execute("BEGIN")
    try:
        deleted = run_sql(cursor, f"delete_{pipeline.deletes}", **words)[0]
        # after the write, which waits for another writer of the table: now the ledger tells what that one did
        check_same_source(SINK, position(cursor, pipeline), keys.window)
        living, missing, older = run_sql(cursor, "compare", **words)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Difference(living, missing, older, deleted)


def _sql_params(pipeline: Pipeline, keys: SourceKeys, table: str) -> dict[str, object]:
    key = [quote_identifier(snowflake_name(c)) for c in pipeline.source.key]
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
