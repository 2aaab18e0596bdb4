"""
The boundaries at which a task's process can be struck, by name.

Only standard library here: every process of the storm's Airflow reads this file
when it starts.
"""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """Before a function is called, after it returned, or while it is at work."""

    target: str  # module:function
    when: str = "before"  # before, during, after
    inside: str = ""  # only while this other function is at work
    said: str = ""  # only when the text that it is called with (an SQL statement) has a line that begins so


EXTRACT, ENRICH = "include.medallion.bronze.extract:extract", "include.medallion.enrich.part:enrich"
LOAD, WRITE = "include.medallion.silver.sink:load", "include.medallion.gold.sink:write"
KEEP = "include.medallion.lookups.cache:keep"
PARQUET = "include.medallion.lake.parquet.writer:Writer"
SQL = "snowflake.connector.cursor:SnowflakeCursorBase.execute"
COMMIT = "deltalake.table:DeltaTable.create_write_transaction"
POINTS = {
    "open_window.read": Point("include.medallion.model.window:open_window"),
    "extract.batch": Point(f"{PARQUET}.write_batch", inside=EXTRACT),
    "extract.upload": Point(f"{PARQUET}.close", "after", inside=EXTRACT),
    "extract.chunk": Point("include.medallion.bronze.checkpoint:keep", "after"),
    "extract.staged": Point(EXTRACT, "after"),
    "enrich.claimed": Point("include.medallion.lookups.leases:take", "after"),
    "enrich.settling": Point("include.medallion.lookups.usage_ledger:settle", "during"),
    "enrich.releasing": Point("include.medallion.lookups.leases:release"),
    "enrich.asking": Point("include.medallion.geocoders.google_http:call"),
    "enrich.paid": Point(KEEP),
    "enrich.kept": Point(KEEP, "after"),
    "enrich.upload": Point(f"{PARQUET}.close", "after", inside=ENRICH),
    "enrich.staged": Point(ENRICH, "after"),
    "silver.quarantine": Point("include.medallion.quarantine.table:land", "during"),
    "silver.before_copy": Point(SQL, inside=LOAD, said="COPY"),
    "silver.putting": Point(SQL, "during", LOAD, "PUT"),
    "silver.copying": Point(SQL, "during", LOAD, "COPY"),
    "silver.copied": Point(SQL, inside=LOAD, said="BEGIN"),
    "silver.merging": Point(SQL, "during", LOAD, "MERGE"),
    "silver.merged": Point(SQL, "after", LOAD, "MERGE"),
    "silver.replaced": Point(SQL, "after", LOAD, "DELETE FROM"),
    "silver.recorded": Point(SQL, inside=LOAD, said="COMMIT"),
    "silver.committed": Point(SQL, "after", LOAD, "COMMIT"),
    "silver.loaded": Point(LOAD, "after"),
    "cache.merging": Point("include.medallion.lookups.cache:merge", "during"),
    "cache.merged": Point("include.medallion.lake.object_store:delete", inside="include.medallion.lookups.cache:merge"),
    "gold.before": Point(COMMIT, inside=WRITE),
    "gold.merging": Point(COMMIT, "during", WRITE),
    "gold.merged": Point(COMMIT, "after", WRITE),
    "gold.written": Point(WRITE, "after"),
    "gold.replacing": Point(COMMIT, "during", WRITE),
    "gold.replaced": Point(COMMIT, "after", WRITE),
    "commit.before": Point("include.medallion.steps.watermark:moved"),
    "commit.after": Point("include.medallion.steps.row_counts:line"),
}
SETTINGS = {"include.medallion.bronze.table": {"BATCH_BYTES": 1 << 18}}
"""Constants to set: smaller record batches, so that a window has a middle."""

AHEAD = (
    "include.medallion.steps.run",
    "include.medallion.steps.row_counts",
    "airflow.providers.snowflake.hooks.snowflake",
)
"""Imported by the scheduler once, before it forks: else each of hundreds of tasks spends seconds on it."""
