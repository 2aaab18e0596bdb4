"""
The boundaries at which a task's process can be killed, by name.

Only the standard library here: every process of the chaos run's Airflow reads this file when it starts.
"""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """Before a function is called, after it returned, or while it runs."""

    target: str  # module:function
    when: str = "before"  # before, during, after
    inside: str = ""  # only while this other function runs
    argument: str = ""  # only if an argument (an SQL statement, the name of a sink) has a line that starts with this


CORE = "include.medallion"
EXTRACT, ENRICH = f"{CORE}.bronze.extract:stage_rows", f"{CORE}.enrich.part:enrich_part"
LOAD, WRITE = f"{CORE}.silver.apply:apply_batch", f"{CORE}.gold.apply:apply_batch"
STAGE_ANSWERS = f"{CORE}.lookups.cache:stage_answers"
ADVANCE = f"{CORE}.bronze.log.slot:advance_slot"
MANIFESTS = f"{CORE}.staging.records.manifests"
PARQUET = f"{CORE}.lake.parquet.writer:Writer"
SQL = "snowflake.connector.cursor:SnowflakeCursorBase.execute"
COMMIT = "deltalake.table:DeltaTable.create_write_transaction"
POINTS = {
    "open_window.read": Point(f"{CORE}.model.window:plan_window"),
    "extract.begun": Point(f"{MANIFESTS}:begin_extract", "after"),
    "extract.batch": Point(f"{PARQUET}.write_batch", inside=EXTRACT),
    "extract.upload": Point(f"{PARQUET}.close", "after", inside=EXTRACT),
    "extract.chunk": Point(f"{CORE}.bronze.checkpoint:save", "after"),
    "extract.staged": Point(f"{MANIFESTS}:finish_extract"),
    "extract.recorded": Point(f"{MANIFESTS}:finish_extract", "after"),
    "enrich.begun": Point(f"{MANIFESTS}:begin_part", "after"),
    "enrich.leased": Point(f"{CORE}.lookups.leases:acquire", "after"),
    "enrich.settling": Point(f"{CORE}.lookups.usage_ledger:settle", "during"),
    "enrich.releasing": Point(f"{CORE}.lookups.leases:release"),
    "enrich.calling": Point(f"{CORE}.geocoders.google_http:call"),
    "enrich.paid": Point(STAGE_ANSWERS),
    "enrich.answers_staged": Point(STAGE_ANSWERS, "after"),
    "enrich.upload": Point(f"{PARQUET}.close", "after", inside=ENRICH),
    "enrich.staged": Point(f"{MANIFESTS}:finish_part"),
    "enrich.recorded": Point(f"{MANIFESTS}:finish_part", "after"),
    "silver.quarantine": Point(f"{CORE}.quarantine.table:record_rows", "during"),
    "silver.before_copy": Point(SQL, inside=LOAD, argument="COPY"),
    "silver.putting": Point(SQL, "during", LOAD, "PUT"),
    "silver.copying": Point(SQL, "during", LOAD, "COPY"),
    "silver.copied": Point(SQL, inside=LOAD, argument="BEGIN"),
    "silver.merging": Point(SQL, "during", LOAD, "MERGE"),
    "silver.merged": Point(SQL, "after", LOAD, "MERGE"),
    "silver.replaced": Point(SQL, "after", LOAD, "DELETE FROM"),
    "silver.recorded": Point(SQL, inside=LOAD, argument="COMMIT"),
    "silver.committed": Point(SQL, "after", LOAD, "COMMIT"),
    "silver.loaded": Point(f"{MANIFESTS}:write_applied", argument="silver$"),
    "silver.applied": Point(f"{MANIFESTS}:write_applied", "after", argument="silver$"),
    "cache.merging": Point(f"{CORE}.lookups.cache:merge", "during"),
    "cache.merged": Point(f"{CORE}.lake.object_store:delete_files", inside=f"{CORE}.lookups.cache:merge"),
    "gold.before": Point(COMMIT, inside=WRITE),
    "gold.merging": Point(COMMIT, "during", WRITE),
    "gold.merged": Point(COMMIT, "after", WRITE),
    "gold.written": Point(f"{MANIFESTS}:write_applied", argument="gold$"),
    "gold.applied": Point(f"{MANIFESTS}:write_applied", "after", argument="gold$"),
    "gold.replacing": Point(COMMIT, "during", WRITE),
    "gold.replaced": Point(COMMIT, "after", WRITE),
    "commit.before": Point(f"{CORE}.steps.watermark:advanced"),
    "commit.after": Point(f"{CORE}.steps.summary.row_counts:summary_line"),
    "log.recorded": Point(f"{CORE}.staging.records.log_position:record_log_position", "after"),
    "log.advancing": Point(ADVANCE),
    "log.advanced": Point(ADVANCE, "after"),
}
SETTINGS = {f"{CORE}.bronze.rows": {"BATCH_BYTES": 1 << 18}}
"""Constants to set: smaller record batches, so that a window has a middle."""

PRELOADED = (
    f"{CORE}.steps.run",
    f"{CORE}.steps.summary.row_counts",
    "airflow.providers.snowflake.hooks.snowflake",
)
"""Imported by the scheduler before it forks: otherwise each of hundreds of tasks spends seconds on it."""
