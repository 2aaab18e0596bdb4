"""What the source says: rights, size, types, and which rows the next run reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import adbc_driver_manager
import numpy as np
import pyarrow as pa

from include.medallion.bronze.chunks import ChunkLayout, plan_chunks
from include.medallion.bronze.postgres.connection import fetch_rows, fetch_sql, read_error
from include.medallion.bronze.rows import read_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.bronze.xid import XidEpoch
from include.medallion.config.files import describe_schedule
from include.medallion.config.pipeline import Pipeline
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import Column, quote_identifier
from include.medallion.model.keys import Key, KeyIndex, encode_keys
from include.medallion.model.window import Mode, Window
from include.medallion.onboarding.inspect import KINDS
from include.medallion.onboarding.plan.report import ColumnPlan, SourcePlan

Connection = adbc_driver_manager.AdbcConnection
MAX_COUNTED_ROWS, MAX_EXACT_ROWS = 20_000_000, 1_000_000
"""Sizes of a table up to which the rows of a window are counted, and all of their keys are read."""
SAMPLED_ROWS, SAMPLES = 200_000, 20
ROWS_SCANNED_PER_SECOND, BYTES_SCANNED_PER_SECOND = 7_000_000, 300 << 20
"""How fast PostgreSQL scans a table for changed rows: measured on two cores (docs/performance.md)."""
_SQL = Path(__file__).parents[1] / "sql"


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Distinct enrichment keys of the rows that a run reads.

    Args:
        found: those of the rows that were read.
        total: of all rows: their number, or an estimate.
    """

    found: list[Key]
    total: int
    is_exact: bool


def check_rights(connection: Connection, pipeline: Pipeline, table: SourceTable) -> None:
    """
    Check that the role may read every column that flows, and all rows; no row is read.

    Raises:
        SettingError: names what to grant.
    """
    names = ", ".join(quote_identifier(c.source_name or c.name) for c in table.columns)
    try:
        fetch_sql(connection, f"SELECT {names}, xmin::text AS x FROM {_name(pipeline)} LIMIT 0")  # noqa: S608
    except adbc_driver_manager.Error as e:
        raise read_error(e, pipeline.source) from None


def plan_source(
    connection: Connection, pipeline: Pipeline, server: str, table: SourceTable, window: Window
) -> tuple[SourcePlan, ChunkLayout]:
    """Return what the run reads, and how the table lies on disk."""
    who, size = _fetch(connection, "server"), _fetch(connection, "size", relation=table.relation)
    rows = max(int(size["rows"] or 0), int(table.rows))
    layout = plan_chunks(connection, pipeline.source, replace(table, rows=rows), pipeline.parts)
    counted = _count(connection, pipeline, window) if rows <= MAX_COUNTED_ROWS else None
    parts = min(pipeline.parts.max_parts, ceil((rows if counted is None else counted) / pipeline.parts.rows_per_part))
    seconds = max(rows / ROWS_SCANNED_PER_SECOND, size["bytes"] / BYTES_SCANNED_PER_SECOND)
    plan = SourcePlan(
        server=server,
        role=who["role"],
        version=f"{who['version'].split()[0]}{' (a standby)' if who['is_standby'] else ''}",
        table=f"{pipeline.source.schema_}.{pipeline.source.table}",
        kind=KINDS.get(size["kind"], size["kind"]),
        key=list(pipeline.source.key),
        read=pipeline.source.read,
        rows=rows,
        bytes=size["bytes"],
        partitions=size["partitions"],
        window=_window_words(window),
        rows_to_read=counted,
        scan_seconds=round(seconds, 1),
        chunks=layout.chunks,
        parts=parts,
        starts=describe_schedule(pipeline),
    )
    return plan, layout


def plan_columns(table: SourceTable, added: Sequence[Column]) -> list[ColumnPlan]:
    """Return each column with its types: those of the source, and those that enrichments add."""
    described = zip(table.columns, table.details, strict=True)
    of_source = [
        ColumnPlan(c.name, detail.type, str(c.type), c.snowflake_type, c.mask.kind if c.mask else "")
        for c, detail in described
    ]
    return of_source + [ColumnPlan(c.name, "added", str(c.type), c.snowflake_type) for c in added]


def read_keys(
    connection: Connection,
    pipeline: Pipeline,
    table: SourceTable,
    window: Window,
    layout: ChunkLayout,
    enrichment: Enrichment,
) -> Keys:
    """Return the distinct keys of an enrichment that reads columns of the source: of a large table, of a sample."""
    chosen = replace(table, columns=tuple(c for c in table.columns if c.name in enrichment.reads))
    is_exact = table.rows <= MAX_EXACT_ROWS
    conditions = ["true"] if is_exact else list(_samples(layout, table.rows))
    known, counts, rows = KeyIndex(), np.zeros(0, np.int64), 0
    for condition in conditions:
        for batch in read_rows(connection, pipeline.source, chosen, window, condition):
            numbers = encode_keys(pa.record_batch(batch), enrichment.reads, enrichment.normalise, known)
            seen = np.bincount(numbers.drop_null().to_numpy(), minlength=len(known))
            counts = np.pad(counts, (0, len(seen) - len(counts))) + seen
            rows += batch.num_rows
    total = len(known) if is_exact else estimate_distinct(len(known), int((counts == 1).sum()), rows, int(table.rows))
    return Keys(list(known.numbers), total, is_exact)


def estimate_distinct(distinct: int, once: int, sampled: int, rows: int) -> int:
    """
    Estimate the distinct values of a table from a sample, as ANALYZE does (Haas and Stokes, 1998).

    Args:
        distinct: values in the sample.
        once: of them, those that are in it once.
        sampled: rows of the sample.
        rows: of the table.

    >>> estimate_distinct(100, 0, 10_000, 1_000_000), estimate_distinct(1_000, 1_000, 1_000, 5_000)
    (100, 5000)
    """
    if not sampled or sampled >= rows:
        return distinct
    estimate = sampled * distinct / (sampled - once + once * sampled / rows)
    return max(distinct, min(rows, round(estimate)))


def _samples(layout: ChunkLayout, rows: float) -> Iterator[str]:
    """Return conditions that select ranges of blocks, spread over the table."""
    blocks = layout.size * layout.chunks
    width = max(1, int(blocks * SAMPLED_ROWS / rows / SAMPLES))
    for number in range(SAMPLES):
        start = number * blocks // SAMPLES
        yield f"ctid >= '({start:d},0)'::tid AND ctid < '({start + width:d},0)'::tid"


def _count(connection: Connection, pipeline: Pipeline, window: Window) -> int:
    now = fetch_rows(connection, "moment")[0]
    clock, where = XidEpoch.read(now["xmax"], now["age_of_3"]), pipeline.source.where
    condition = f"({clock.window_condition(window)})" + (f" AND (\n{where}\n)" if where else "")
    sql = f"SELECT count(*)::int8 AS rows FROM {_name(pipeline)} WHERE {condition}"  # noqa: S608
    return int(fetch_sql(connection, sql)[0]["rows"])


def _window_words(window: Window) -> str:
    if window.mode is Mode.REFRESH:
        return "all rows, which replace the tables"
    return f"rows of transactions [{window.after}, {window.upto})" if window.after else "all rows"


def _fetch(connection: Connection, name: str, **values: object) -> dict[str, Any]:
    return fetch_sql(connection, (_SQL / f"{name}.sql").read_text().format(**values))[0]


def _name(pipeline: Pipeline) -> str:
    return f"{quote_identifier(pipeline.source.schema_)}.{quote_identifier(pipeline.source.table)}"
