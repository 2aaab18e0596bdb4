"""
One batch from source to sinks in one process: the DAG's way without Airflow.

For a shell, for benchmarks, for a look at one stage. The DAG calls the same
functions, each in a task of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from include.medallion.bronze import checkpoint, horizon
from include.medallion.bronze import chunks as bronze_chunks
from include.medallion.bronze import connection as bronze_connection
from include.medallion.bronze import extract as bronze_extract
from include.medallion.bronze import rows as bronze_rows
from include.medallion.bronze import table as bronze_table
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich import expiry
from include.medallion.enrich.part import enrich_part
from include.medallion.enrich.registry import open_enrichments
from include.medallion.errors import ContractBroken
from include.medallion.gold import sink as gold_sink
from include.medallion.lake.object_store import Lake
from include.medallion.lookups import cache
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import OP_COLUMN, SYSTEM_COLUMNS, check_names
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Position, Window, plan_window
from include.medallion.quarantine import replay as quarantine_replay
from include.medallion.quarantine import table as quarantine_table
from include.medallion.silver import sink as silver_sink
from include.medallion.staging.layout import RAW
from include.medallion.staging.parts import EnrichedPart, Part, staged_columns
from include.medallion.steps.row_counts import check_row_counts

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection
    from pyarrow import RecordBatch


def run(
    pipeline: Pipeline, connections: Connections, mode: Mode = Mode.WINDOW, max_rows: int | None = None
) -> dict | None:
    """Bring one batch from source to sinks; return the run's summary, None if nothing is new."""
    position = silver_position(pipeline, connections)
    window = open_window(pipeline, connections, position, mode, max_rows)
    parts = extract(pipeline, connections, window)
    if not parts:
        return None
    answered = [enrich(pipeline, connections, window, part) for part in parts]
    loaded = load_silver(pipeline, connections, window, answered)
    written = write_gold(pipeline, connections, window, answered)
    return check_row_counts(
        window,
        [p.to_json() for p in parts],
        [a.to_json() for a in answered],
        loaded.to_json(),
        written.to_json(),
    )


def silver_position(pipeline: Pipeline, connections: Connections) -> Position | None:
    """Ask Silver what it holds."""
    with closing(connections.silver()) as connection:
        return silver_sink.read_position(connection, pipeline)


def open_window(
    pipeline: Pipeline,
    connections: Connections,
    position: Position | None,
    mode: Mode = Mode.WINDOW,
    max_rows: int | None = None,
) -> Window:
    """Open the window; `position` is what Silver holds, Gold is asked."""
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze_table.describe_table(connection, pipeline.source)
        bronze_table.check_columns(pipeline, table)
        moment = horizon.read_horizon(connection, table)
    held = [position, gold_sink.read_position(connections.lake, pipeline, moment.source)]
    return plan_window(pipeline.name, moment, held, datetime.now(UTC), mode, max_rows)


def extract(pipeline: Pipeline, connections: Connections, window: Window) -> list[Part]:
    """
    Stage the window's rows.

    Raises:
        ContractBroken: the table was re-created since the window was opened, or a
            column is named like one that is added.
    """
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze_table.describe_table(connection, pipeline.source)
        if table.identity != window.source:
            raise ContractBroken(
                f"the source table changed since batch {window.batch_id} was opened: trigger a new run"
            )
        enrichments = open_enrichments(pipeline, table.columns, connections.environ)
        check_names([*table.columns, *(c for e in enrichments for c in e.columns), *SYSTEM_COLUMNS, OP_COLUMN])
        if window.mode is not Mode.REFRESH and window.after >= window.upto:
            return []
        lake, source = connections.lake, pipeline.source
        if window.mode is Mode.WINDOW:
            layout = bronze_chunks.plan_chunks(connection, source, table, pipeline.parts)
            reached = checkpoint.load(lake, window, RAW, layout)
            another = partial(bronze_connection.connect, connections.bronze)
            readers = [partial(nullcontext, connection), *[another] * (bronze_chunks.PARALLEL_READERS - 1)]
            chunks = bronze_chunks.read_chunks(readers, source, table, window, reached.layout, [*reached.rows])
        else:
            reached = checkpoint.load(lake, window, RAW, bronze_chunks.SINGLE_CHUNK)
            chunks = bronze_chunks.as_single_chunk(_batches(pipeline, lake, connection, table, window, enrichments))
        return bronze_extract.extract(chunks, table.rows, pipeline, window, enrichments, lake, reached)


def _batches(
    pipeline: Pipeline,
    lake: Lake,
    connection: AdbcConnection,
    table: bronze_table.SourceTable,
    window: Window,
    enrichments: Sequence[Enrichment],
) -> Iterator[RecordBatch]:
    """Read what is no window, in one go: only rows of a window keep their place until a retry."""
    if window.mode is Mode.LOOKUPS:
        return expiry.read_rows_to_refresh(lake, pipeline, table.columns, enrichments, window.opened_at)
    asked = window.mode is Mode.QUARANTINE
    condition = quarantine_replay.replay_condition(lake, pipeline, table.columns) if asked else "true"
    return bronze_rows.read_rows(connection, pipeline.source, table, window, condition)


def enrich(pipeline: Pipeline, connections: Connections, window: Window, part: Part, at_once: int = 1) -> EnrichedPart:
    """Enrich one part, with its share of the rate as `at_once` parts run at a time."""
    enrichments = _enrichments(pipeline, connections, window, part)
    share = min(at_once, part.of)
    return enrich_part(connections.lake, pipeline, enrichments, window, part, datetime.now(UTC), share)


def load_silver(pipeline: Pipeline, connections: Connections, window: Window, answered: list[EnrichedPart]) -> Applied:
    """Set the batch's bad rows aside, check their share, apply the good ones to Silver."""
    reasons = quarantine_table.record_rows(connections.lake, window, _loadable_parts(answered))
    if window.mode is not Mode.QUARANTINE:
        quarantine_table.check_bad_share(reasons, sum(a.read for a in answered), pipeline.quarantine)
    with closing(connections.silver()) as connection:
        return silver_sink.apply_batch(connection, connections.lake, pipeline, window, _loadable_parts(answered))


def write_gold(pipeline: Pipeline, connections: Connections, window: Window, answered: list[EnrichedPart]) -> Applied:
    """Apply the batch to Gold, and the new answers to their cache; close the entries whose rows are in both sinks."""
    lake, parts = connections.lake, _loadable_parts(answered)
    enrichments = _enrichments(pipeline, connections, window, parts[0])
    for enrichment in enrichments:
        cache.merge(lake, enrichment)
    applied = gold_sink.apply_batch(lake, pipeline, window, parts)
    for enrichment in enrichments if window.mode is Mode.LOOKUPS else ():
        cache.purge(lake, enrichment.cache, window.opened_at)
    quarantine_replay.close_entries(lake, pipeline, window, parts)
    return applied


def _enrichments(pipeline: Pipeline, connections: Connections, window: Window, part: Part) -> tuple[Enrichment, ...]:
    return open_enrichments(pipeline, staged_columns(connections.lake, window, RAW, part), connections.environ)


def _loadable_parts(answered: list[EnrichedPart]) -> list[Part]:
    return [Part(a.part, a.enriched, chunks=a.chunks) for a in answered]
