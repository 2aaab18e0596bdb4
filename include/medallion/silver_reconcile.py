"""Silver beside the source: deletes applied and differences counted, in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.medallion.enrich import staged_columns
from include.medallion.lake import Lake
from include.medallion.pipeline import Pipeline
from include.medallion.reconcile_keys import KEYS, Keys
from include.medallion.reconcile_report import Difference
from include.medallion.schema import DELETED_AT, MOMENT, added_column, quoted, snowflake_name
from include.medallion.silver import SINK, position, table_name
from include.medallion.silver_batch import definitions, run_sql, staged_table, sweep
from include.medallion.window import check_same_source, new_batch_id

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SUFFIX = "_KEYS"
_ABANDONED = timedelta(days=1)


def compare(connection: SnowflakeConnection, lake: Lake, pipeline: Pipeline, keys: Keys) -> Difference:
    """
    Delete what the source lost, as `pipeline.deletes` says, and count what else differs.

    Doing it again changes nothing.

    Raises:
        SourceChanged: the table was filled from another source meanwhile.
    """
    columns = staged_columns(lake, keys.window, KEYS, keys.parts[0])
    with connection.cursor() as cursor:
        added = definitions([added_column(DELETED_AT, MOMENT)])
        cursor.execute(f"ALTER TABLE {table_name(pipeline)} ADD COLUMN IF NOT EXISTS {added}")
        with staged_table(cursor, lake, pipeline, columns, keys.window, keys.parts, KEYS, SUFFIX) as table:
            difference = _compare(cursor, pipeline, keys, table)
        # a day later: until then another reconcile may still be at work on its own
        sweep(cursor, pipeline, new_batch_id(keys.window.opened_at - _ABANDONED, 0), SUFFIX)
        return difference


def _compare(cursor: SnowflakeCursor, pipeline: Pipeline, keys: Keys, table: str) -> Difference:
    words = _words(pipeline, keys, table)
    cursor.execute("BEGIN")
    try:
        deleted = run_sql(cursor, f"silver_delete_{pipeline.deletes}", **words)[0]
        # after the write, which waits for another writer of the table: now the ledger tells what that one did
        check_same_source(SINK, position(cursor, pipeline), keys.window)
        living, missing, older = run_sql(cursor, "silver_compare", **words)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return Difference(living, missing, older, deleted)


def _words(pipeline: Pipeline, keys: Keys, table: str) -> dict[str, object]:
    key = [quoted(snowflake_name(c)) for c in pipeline.source.key]
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
