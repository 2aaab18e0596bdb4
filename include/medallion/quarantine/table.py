"""
Rows that broke the contract: set aside in a Delta table with the reason, never dropped.

One entry per row of the source, by its key; a row whose key is NULL is told
apart by all of its values. The newest finding replaces an older one. An entry
is closed when its row arrives (`quarantine_replay`).
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.sections.tables import Quarantine
from include.medallion.errors import QuarantineOverflow
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import BATCH_ID, TIMESTAMP_UTC, VERSION
from include.medallion.model.values.validation import Reason
from include.medallion.staging.batch import Batch
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.parts import StagedFile

TABLE = "quarantine"
SCHEMA = pa.schema(
    [
        ("pipeline", pa.string()),
        ("entry", pa.string()),  # SHA-256 of the key, or of the whole row if the key is incomplete
        ("reason", pa.string()),
        ("key", pa.string()),
        ("row", pa.string()),
        (VERSION, pa.int64()),
        (BATCH_ID, pa.int64()),
        ("quarantined_at", TIMESTAMP_UTC),
        ("closed_at", TIMESTAMP_UTC),  # when its row arrived in both sinks, or was gone from the source
        ("closed_by", pa.int64()),  # the batch that brought it
    ]
)


def record_rows(batch: Batch) -> Counter[str]:
    """Write a batch's quarantined rows to the quarantine table; return how many there are of each reason."""
    files = [file for part in batch.parts for file in part.quarantined_files]
    rows = pa.concat_tables([SCHEMA.empty_table(), *(_entries(batch, file) for file in files)])
    if rows.num_rows:
        entries = _deduplicate(rows)
        delta.retry_on_conflict(lambda: _upsert(batch.lake, entries))
    return Counter(rows["reason"].to_pylist())


def open_entries(lake: Lake, pipeline: str) -> pa.Table:
    """Return a pipeline's entries that wait for their row: entry, key, `_version`, `_batch_id`."""
    table = delta.open_table(lake, TABLE)
    columns = ["entry", "key", VERSION, BATCH_ID]
    if table is None:
        return SCHEMA.empty_table().select(columns)
    mine = (pc.field("pipeline") == pipeline) & pc.field("closed_at").is_null()
    return delta.dataset(lake, TABLE, table).to_table(columns=columns, filter=mine)


def quarantined_keys(lake: Lake, pipeline: str) -> dict[int, set[str]]:
    """Return the keys of a pipeline's open entries, as JSON, by the version of their row."""
    known: dict[int, set[str]] = {}
    for entry in open_entries(lake, pipeline).to_pylist():
        known.setdefault(entry[VERSION], set()).add(entry["key"])
    return known


def remove_entries(lake: Lake, pipeline: str, before: int) -> int:
    """Delete a pipeline's entries, open and closed, of batches older than `before`; return how many."""
    table = delta.open_table(lake, TABLE)
    if table is None:
        return 0
    found = table.delete(f"pipeline = '{pipeline}' AND {BATCH_ID} < {before:d}")
    return int(found["num_deleted_rows"] or 0)


def check_bad_share(reasons: Counter[str], read: int, limits: Quarantine) -> None:
    """
    Refuse a batch too much of which is bad: more likely the source or a setting is wrong than the rows.

    Raises:
        QuarantineOverflow: the counts, the commonest reasons and the settings that bound them.
    """
    bad = reasons.total()
    if bad > limits.min_bad_rows and bad > limits.max_share * read:
        commonest = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(5))
        raise QuarantineOverflow(
            f"{bad:,} of {read:,} rows are invalid ({commonest}); quarantine.max_share is {limits.max_share:g}. "
            "Nothing was loaded. Look at them in the quarantine table, then fix the source or raise the share"
        )


def _upsert(lake: Lake, rows: pa.Table) -> None:
    table = delta.open_or_create(lake, TABLE, SCHEMA, statistics=[BATCH_ID], partition_by=["pipeline"])
    (
        table.merge(
            rows,
            "target.pipeline = source.pipeline AND target.entry = source.entry",
            source_alias="source",
            target_alias="target",
        )
        .when_matched_update_all(
            f"source.{BATCH_ID} >= target.{BATCH_ID} AND "
            f"(target.closed_by IS NULL OR source.{BATCH_ID} > target.closed_by)"
        )
        .when_not_matched_insert_all()
        .execute()
    )


def _entries(batch: Batch, file: StagedFile) -> pa.Table:
    window, rows = batch.window, read_staged_table(batch.lake, file)
    incomplete = pc.equal(rows["reason"], str(Reason.NULL_KEY))
    identity = pc.if_else(incomplete, rows["row"], rows["key"])
    entries = pa.array([sha256(text.encode()).hexdigest() for text in identity.to_pylist()], pa.string())
    about = {"pipeline": window.pipeline, BATCH_ID: window.batch_id, "quarantined_at": window.opened_at}
    constants = {**about, "closed_at": None, "closed_by": None}
    repeated = {name: pa.repeat(pa.scalar(v, SCHEMA.field(name).type), rows.num_rows) for name, v in constants.items()}
    columns = {name: rows[name] for name in rows.column_names} | repeated | {"entry": entries}
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _deduplicate(rows: pa.Table) -> pa.Table:
    """Keep one of rows that are equal in every value: without a key they cannot be told apart."""
    numbered = rows.append_column("_row", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by("entry", use_threads=False).aggregate([("_row", "min")])
    return rows.take(first["_row_min"])
