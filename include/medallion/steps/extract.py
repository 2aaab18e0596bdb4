"""Step 2: stage the window's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from include.medallion.bronze import checkpoint
from include.medallion.bronze import chunks as bronze_chunks
from include.medallion.bronze.checkpoint import Checkpoint
from include.medallion.bronze.extract import ChunkRows, stage_rows
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.postgres.connection import begin_snapshot, execute
from include.medallion.bronze.rows import raw_schema, read_rows
from include.medallion.bronze.selection.keys import read_rows_of_keys
from include.medallion.bronze.table import SourceTable
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich import expiry
from include.medallion.enrich.part import enrich_part
from include.medallion.enrich.registry import open_enrichments
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, opened_beside
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import OP_COLUMN, SYSTEM_COLUMNS, check_names
from include.medallion.model.keys import PartitionKey
from include.medallion.model.schema.source import SourceSchema
from include.medallion.model.window import Mode, Window
from include.medallion.quarantine.replay import only_open_entries, replay_condition
from include.medallion.staging.parts import Part
from include.medallion.staging.records.selection import read_keys, read_selection
from include.medallion.steps.enrich import place_sources
from include.medallion.steps.log.read import note_nothing_new, open_reader, read_changes
from include.medallion.steps.schema.records import check_unchanged, columns_to_read, current_schema
from include.medallion.steps.schema.source import describe_locked_source, describe_source

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection
    from pyarrow import RecordBatch, Schema


def extract(pipeline: Pipeline, connections: Connections, window: Window) -> tuple[Part, ...]:
    """
    Stage the window's rows. Without an enrichment they are validated here: no `enrich` step follows.

    Returns:
        The parts that got rows; none if nothing is new. A full refresh, and a first run, of an empty table have one
        part without rows.

    Raises:
        ContractBroken: the table was re-created since the window was opened, or two columns have one name.
        SchemaChanged: the table's schema changed since then in a way that the batch cannot have.
        SettingError, Transient: the role may not read the table, a key is missing; the source cannot be reached.
    """
    lake = connections.lake
    with opened_beside(lake), bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        table = describe_locked_source(connection, pipeline, connections)
        _check_source(table, window)
        table = replace(table, columns=columns_to_read(lake, window, current_schema(pipeline, table), table))
        seen, sources = current_schema(pipeline, table), place_sources(pipeline, connections)
        enrichments = open_enrichments(pipeline, table.columns, connections.environ, sources)
        check_names([*table.columns, *(c for e in enrichments for c in e.columns), *SYSTEM_COLUMNS, OP_COLUMN])
        window, changes = read_changes(pipeline, connections, connection, table, window)
        if changes.is_empty if changes else _is_empty(window):
            note_nothing_new(pipeline, connections, window, changes)
            return ()
        reader = open_reader(pipeline, lake, connection, table, window, changes) if changes else None
        if not reader and window.mode is Mode.WINDOW:
            reached, chunks = _read_window(pipeline, connections, connection, table, window)
        else:
            args = (pipeline, connections, connection, table, window, enrichments)
            reached, chunks = _single_chunk(lake, window, reader.batches() if reader else _read_whole(*args))
        chunks = _then(chunks, lambda: _check_labels(pipeline, connections, connection, window, seen))
        key, empty = partition_key(enrichments, [c.name for c in table.columns]), _empty_schema(window, table)
        gone, rows = (reader.gone, reader.keys) if reader else (None, table.rows)
        parts = stage_rows(chunks, rows, pipeline.parts, window, key, lake, reached, empty, gone)
    if not parts:
        note_nothing_new(pipeline, connections, window, changes)
    for part in parts if not pipeline.enrich else ():
        enrich_part(lake, pipeline, (), window, part, datetime.now(UTC))
    return parts


def _then(chunks: ChunkRows, check: Callable[[], None]) -> ChunkRows:
    yield from chunks
    check()


def _check_labels(
    pipeline: Pipeline, connections: Connections, connection: AdbcConnection, window: Window, seen: SourceSchema
) -> None:
    """Check that all rows were read with the same labels and attributes: ALTER TYPE does not wait for a reader."""
    if any(column.definition for column in seen.columns):
        execute(connection, "COMMIT")
        begin_snapshot(connection)
        check_unchanged(seen, current_schema(pipeline, describe_source(connection, pipeline, connections)), window)


def _single_chunk(lake: Lake, window: Window, rows: Iterator[RecordBatch]) -> tuple[Checkpoint, ChunkRows]:
    """Return rows as one chunk, which no earlier try has staged."""
    return checkpoint.load(lake, window, bronze_chunks.SINGLE_CHUNK), bronze_chunks.as_single_chunk(rows)


def partition_key(enrichments: Sequence[Enrichment], columns: Sequence[str]) -> PartitionKey | None:
    """
    Choose what rows are partitioned by: the key of the first enrichment that costs something, else of the first.

    It must read the source alone. Keys of another enrichment may be in several parts, which lease them.

    Args:
        columns: of the source.
    """
    ready = [e for e in enrichments if {*e.reads} <= {*columns}]
    if not ready:
        return None
    first = next((e for e in ready if e.limits), ready[0])
    return PartitionKey(first.reads, first.normalise, first.limits is not None)


def _is_empty(window: Window) -> bool:
    return window.mode not in {Mode.REFRESH, Mode.ACCEPT} and window.after >= window.upto


def _empty_schema(window: Window, table: SourceTable) -> Schema | None:
    """Return the columns if a batch without rows counts: a full refresh empties the sinks, a first run creates them."""
    counts = window.mode in {Mode.REFRESH, Mode.ACCEPT} or (window.mode is Mode.WINDOW and window.after == 0)
    return raw_schema(table.columns, table.comment) if counts else None


def _check_source(table: SourceTable, window: Window) -> None:
    if table.identity != window.source:
        raise ContractBroken(f"the source table changed since batch {window.batch_id} was opened: trigger a new run")


def _read_window(
    pipeline: Pipeline, connections: Connections, connection: AdbcConnection, table: SourceTable, window: Window
) -> tuple[Checkpoint, ChunkRows]:
    """Read the chunks of the table that no earlier try has staged, on several connections."""
    layout = bronze_chunks.plan_chunks(connection, pipeline.source, table, pipeline.parts)
    reached = checkpoint.load(connections.lake, window, layout)
    another = partial(bronze_connection.connect, connections.bronze, pipeline.source.connection)
    readers: list[bronze_chunks.Connect] = [
        lambda: nullcontext(connection),
        *[another] * (bronze_chunks.PARALLEL_READERS - 1),
    ]
    chunks = bronze_chunks.read_chunks(readers, pipeline.source, table, window, reached.layout, [*reached.files])
    return reached, chunks


def _read_whole(
    pipeline: Pipeline,
    connections: Connections,
    connection: AdbcConnection,
    table: SourceTable,
    window: Window,
    enrichments: Sequence[Enrichment],
) -> Iterator[RecordBatch]:
    """Read what is no window in one go: only rows of a window keep their place until a retry."""
    lake = connections.lake
    if window.mode is Mode.LOOKUPS:
        now = datetime.now(UTC)
        enrichments = expiry.prepare_refresh(lake, enrichments, now)
        return expiry.read_rows_to_refresh(lake, pipeline, table.columns, enrichments, now)
    if window.mode in {Mode.RELOAD, Mode.ACCEPT}:
        return _read_selected(pipeline, lake, connection, table, window)
    if window.mode is not Mode.QUARANTINE:
        return read_rows(connection, pipeline.source, table, window)
    condition = replay_condition(lake, pipeline, table.columns)
    rows = read_rows(connection, pipeline.source, table, window, condition)
    return only_open_entries(lake, pipeline, table.columns, rows)


def _read_selected(
    pipeline: Pipeline, lake: Lake, connection: AdbcConnection, table: SourceTable, window: Window
) -> Iterator[RecordBatch]:
    selection = read_selection(lake, window)
    if selection.keys is None:
        return read_rows(connection, pipeline.source, table, window, selection.condition)
    return read_rows_of_keys(connection, pipeline.source, table, window, read_keys(lake, selection.keys))
