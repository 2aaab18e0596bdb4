"""
The table `runs`: one row for each run that loaded something, and for each reconcile.

    runs(pipeline, batch_id, kind, run_id, started_at, ended_at, read, ..., sinks, statuses, changes)

Counts and ids only. A run that is repeated adds a row with the same batch id; the newest of them counts.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.columns import BATCH_ID, TIMESTAMP_UTC

TABLE = "runs"
SCHEMA = pa.schema(
    [
        ("pipeline", pa.string()),
        (BATCH_ID, pa.int64()),
        ("kind", pa.string()),  # the mode of the window: window, refresh, trial, lookups, quarantine or reconcile
        ("run_id", pa.string()),  # Airflow's; empty for a run from a shell
        ("started_at", TIMESTAMP_UTC),
        ("ended_at", TIMESTAMP_UTC),
        ("read", pa.int64()),  # rows of the source
        ("quarantined", pa.int64()),
        ("unchanged", pa.int64()),
        ("lag", pa.int64()),  # transactions begun, but not below `upto`
        ("after", pa.int64()),
        ("upto", pa.int64()),
        ("log_position", pa.int64()),  # LSN up to which the source's log was read; null if it was not
        ("keys", pa.int64()),
        ("cached", pa.int64()),
        ("calls", pa.int64()),
        ("spend_usd", pa.float64()),
        ("resolved", pa.int64()),  # keys with a result; `unresolved`: without one, not waiting for a budget
        ("unresolved", pa.int64()),
        ("sinks", pa.string()),  # JSON: counts by sink
        ("statuses", pa.string()),  # JSON: keys by the status of their look-up
        ("changes", pa.string()),  # JSON: list of schema changes
    ]
)


def append(lake: Lake, row: dict[str, object]) -> None:
    """Add one row; appends of several tasks at the same time do not conflict."""
    rows = pa.Table.from_pylist([row], SCHEMA)

    def attempt() -> None:
        table = delta.open_or_create(lake, TABLE, SCHEMA, statistics=[BATCH_ID])
        write_deltalake(
            table, rows, mode="append", schema_mode="merge", writer_properties=delta.writer_properties(table)
        )

    delta.retry_on_conflict(attempt)


def newest_of_each(rows: pa.Table) -> pa.Table:
    """Return the rows ordered by batch id, of each batch of a pipeline only the one that ended last."""
    ordered = rows.sort_by([(BATCH_ID, "ascending"), ("ended_at", "ascending")])
    numbered = ordered.append_column("number", pa.array(range(len(ordered)), pa.int64()))
    last = numbered.group_by(["pipeline", BATCH_ID], use_threads=False).aggregate([("number", "max")])
    return ordered.take(last["number_max"].combine_chunks().sort())


def remove_old(lake: Lake, before: datetime) -> int:
    """Delete the rows of batches that are older than a moment; return how many."""
    table, oldest = delta.open_table(lake, TABLE), new_batch_id(before, 0)
    if table is None or not delta.dataset(lake, TABLE, table).count_rows(filter=pc.field(BATCH_ID) < oldest):
        return 0
    return int(table.delete(f"{BATCH_ID} < {oldest:d}")["num_deleted_rows"] or 0)
