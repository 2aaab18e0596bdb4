"""
One batch from source to sinks in one process: the DAG's way without Airflow.

For a shell, for benchmarks, for a look at one stage. The DAG calls the same
functions, each in a task of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from include.medallion import (
    bronze,
    bronze_chunks,
    bronze_connection,
    bronze_horizon,
    cache,
    checkpoint,
    gold,
    quarantine,
    quarantine_replay,
    silver,
    stale,
)
from include.medallion.enrich import Enriched, enrich, staged_columns
from include.medallion.enrichment import Enrichment, open_enrichments
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.extract import RAW, Part, extract
from include.medallion.lake import Lake
from include.medallion.pipeline import Pipeline
from include.medallion.reckoning import Applied, reckon
from include.medallion.schema import STAGED, SYSTEM, check_names
from include.medallion.window import Mode, Position, Window, open_window

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection
    from pyarrow import RecordBatch
    from snowflake.connector import SnowflakeConnection


@dataclass(frozen=True)
class Connections:
    """How to reach source and sinks."""

    bronze: str  # libpq URI
    silver: Callable[[], SnowflakeConnection]  # opens a connection
    lake: Lake
    environ: Mapping[str, str]  # where a provider finds its key


def run(
    pipeline: Pipeline, connections: Connections, mode: Mode = Mode.WINDOW, max_rows: int | None = None
) -> dict | None:
    """Bring one batch from source to sinks; return the run's summary, None if nothing is new."""
    position = silver_position(pipeline, connections)
    window = begin(pipeline, connections, position, mode, max_rows)
    parts = read(pipeline, connections, window)
    if not parts:
        return None
    answered = [look_up(pipeline, connections, window, part) for part in parts]
    loaded = load(pipeline, connections, window, answered)
    written = write(pipeline, connections, window, answered)
    return reckon(
        window,
        [p.to_json() for p in parts],
        [a.to_json() for a in answered],
        loaded.to_json(),
        written.to_json(),
    )


WISHES = {
    "full_refresh": Mode.REFRESH,
    "max_rows": Mode.TRIAL,
    "refresh_lookups": Mode.LOOKUPS,
    "replay_quarantine": Mode.QUARANTINE,
}


def wishes(params: Mapping[str, object]) -> dict:
    """
    Return what a manual trigger asks for, as `begin` takes it.

    Raises:
        SettingError: two wishes that exclude each other.
    """
    wished = [name for name in WISHES if params.get(name)]
    if len(wished) > 1:
        raise SettingError(f"{' and '.join(wished)} exclude each other: trigger one run for each")
    return {"mode": WISHES[wished[0]] if wished else Mode.WINDOW, "max_rows": params.get("max_rows")}


def silver_position(pipeline: Pipeline, connections: Connections) -> Position | None:
    """Ask Silver what it holds."""
    with closing(connections.silver()) as connection:
        return silver.held(connection, pipeline)


def begin(
    pipeline: Pipeline,
    connections: Connections,
    position: Position | None,
    mode: Mode = Mode.WINDOW,
    max_rows: int | None = None,
) -> Window:
    """Open the window; `position` is what Silver holds, Gold is asked."""
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze.describe(connection, pipeline.source)
        bronze.check_columns(pipeline, table)
        moment = bronze_horizon.moment(connection, table)
    held = [position, gold.held(connections.lake, pipeline, moment.source)]
    return open_window(pipeline.name, moment, held, datetime.now(UTC), mode, max_rows)


def read(pipeline: Pipeline, connections: Connections, window: Window) -> list[Part]:
    """
    Stage the window's rows.

    Raises:
        ContractBroken: the table was re-created since the window was opened, or a
            column is named like one that is added.
    """
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze.describe(connection, pipeline.source)
        if table.identity != window.source:
            raise ContractBroken(
                f"the source table changed since batch {window.batch_id} was opened: trigger a new run"
            )
        enrichments = open_enrichments(pipeline, table.columns, connections.environ)
        check_names([*table.columns, *(c for e in enrichments for c in e.columns), *SYSTEM, STAGED])
        if window.mode is not Mode.REFRESH and window.after >= window.upto:
            return []
        lake, source = connections.lake, pipeline.source
        if window.mode is Mode.WINDOW:
            layout = bronze_chunks.lay_out(connection, source, table, pipeline.parts)
            reached = checkpoint.resume(lake, window, RAW, layout)
            another = partial(bronze_connection.connect, connections.bronze)
            readers = [partial(nullcontext, connection), *[another] * (bronze_chunks.READERS - 1)]
            chunks = bronze_chunks.read(readers, source, table, window, reached.layout, [*reached.rows])
        else:
            reached = checkpoint.resume(lake, window, RAW, bronze_chunks.WHOLE)
            chunks = bronze_chunks.whole(_batches(pipeline, lake, connection, table, window, enrichments))
        return extract(chunks, table.rows, pipeline, window, enrichments, lake, reached)


def _batches(
    pipeline: Pipeline,
    lake: Lake,
    connection: AdbcConnection,
    table: bronze.SourceTable,
    window: Window,
    enrichments: Sequence[Enrichment],
) -> Iterator[RecordBatch]:
    """Read what is no window, in one go: only rows of a window keep their place until a retry."""
    if window.mode is Mode.LOOKUPS:
        return stale.read(lake, pipeline, table.columns, enrichments, window.opened_at)
    asked = window.mode is Mode.QUARANTINE
    condition = quarantine_replay.condition(lake, pipeline, table.columns) if asked else "true"
    return bronze.read(connection, pipeline.source, table, window, condition)


def look_up(pipeline: Pipeline, connections: Connections, window: Window, part: Part, at_once: int = 1) -> Enriched:
    """Enrich one part, with its share of the rate as `at_once` parts run at a time."""
    enrichments = _enrichments(pipeline, connections, window, part)
    share = min(at_once, part.of)
    return enrich(connections.lake, pipeline, enrichments, window, part, datetime.now(UTC), share)


def load(pipeline: Pipeline, connections: Connections, window: Window, answered: list[Enriched]) -> Applied:
    """Set the batch's bad rows aside, check their share, apply the good ones to Silver."""
    reasons = quarantine.land(connections.lake, window, _good(answered))
    if window.mode is not Mode.QUARANTINE:
        quarantine.check_share(reasons, sum(a.read for a in answered), pipeline.quarantine)
    with closing(connections.silver()) as connection:
        return silver.load(connection, connections.lake, pipeline, window, _good(answered))


def write(pipeline: Pipeline, connections: Connections, window: Window, answered: list[Enriched]) -> Applied:
    """Apply the batch to Gold, and the new answers to their cache; close the entries whose rows are in both sinks."""
    lake, parts = connections.lake, _good(answered)
    enrichments = _enrichments(pipeline, connections, window, parts[0])
    for enrichment in enrichments:
        cache.merge(lake, enrichment)
    applied = gold.write(lake, pipeline, window, parts)
    for enrichment in enrichments if window.mode is Mode.LOOKUPS else ():
        cache.purge(lake, enrichment.cache, window.opened_at)
    quarantine_replay.close(lake, pipeline, window, parts)
    return applied


def _enrichments(pipeline: Pipeline, connections: Connections, window: Window, part: Part) -> tuple[Enrichment, ...]:
    return open_enrichments(pipeline, staged_columns(connections.lake, window, RAW, part), connections.environ)


def _good(answered: list[Enriched]) -> list[Part]:
    return [Part(a.part, a.enriched, chunks=a.chunks) for a in answered]
