"""
One batch from source to sinks in one process: the DAG's way without Airflow.

For a shell, for benchmarks, for a look at one stage. The DAG calls the same
functions, each in a task of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.medallion import bronze, bronze_connection, bronze_horizon, cache, gold, quarantine, silver
from include.medallion.enrich import Enriched, enrich, staged_columns
from include.medallion.enrichment import Enrichment, open_enrichment
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.extract import RAW, Part, extract
from include.medallion.lake import Lake
from include.medallion.pipeline import Pipeline
from include.medallion.reckoning import Applied, reckon
from include.medallion.schema import STAGED, SYSTEM, check_names
from include.medallion.window import Mode, Position, Window, open_window

if TYPE_CHECKING:
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


def wishes(params: Mapping[str, object]) -> dict:
    """
    Return what a manual trigger asks for, as `begin` takes it.

    Raises:
        SettingError: two wishes that exclude each other.
    """
    refresh, max_rows = params.get("full_refresh"), params.get("max_rows")
    if refresh and max_rows:
        raise SettingError("full_refresh and max_rows exclude each other: a trial replaces nothing")
    mode = Mode.REFRESH if refresh else Mode.TRIAL if max_rows else Mode.WINDOW
    return {"mode": mode, "max_rows": max_rows}


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
        enrichment = open_enrichment(pipeline, table.columns, connections.environ)
        check_names([*table.columns, *enrichment.columns, *SYSTEM, STAGED])
        return extract(connection, pipeline, table, window, enrichment, connections.lake)


def look_up(pipeline: Pipeline, connections: Connections, window: Window, part: Part, at_once: int = 1) -> Enriched:
    """Enrich one part, with its share of the run's budget and, as `at_once` parts run at a time, of the rate."""
    enrichment = _enrichment(pipeline, connections, window, part)
    now, share = datetime.now(UTC), min(at_once, part.of)
    return enrich(connections.lake, pipeline, enrichment, window, part, now, _budget(pipeline, window, part), share)


def load(pipeline: Pipeline, connections: Connections, window: Window, answered: list[Enriched]) -> Applied:
    """Set the batch's bad rows aside, check their share, apply the good ones to Silver."""
    reasons = quarantine.land(connections.lake, window, [a.part for a in answered])
    quarantine.check_share(reasons, sum(a.read for a in answered), pipeline.quarantine)
    with closing(connections.silver()) as connection:
        return silver.load(connection, connections.lake, pipeline, window, _good(answered))


def write(pipeline: Pipeline, connections: Connections, window: Window, answered: list[Enriched]) -> Applied:
    """Apply the batch to Gold, and the new answers to their cache."""
    parts = _good(answered)
    cache.merge(connections.lake, _enrichment(pipeline, connections, window, parts[0]))
    return gold.write(connections.lake, pipeline, window, parts)


def _enrichment(pipeline: Pipeline, connections: Connections, window: Window, part: Part) -> Enrichment:
    return open_enrichment(pipeline, staged_columns(connections.lake, window, RAW, part), connections.environ)


def _good(answered: list[Enriched]) -> list[Part]:
    return [Part(a.part, a.enriched) for a in answered]


def _budget(pipeline: Pipeline, window: Window, part: Part) -> int | None:
    """Return this part's whole share of the run's budget; the shares add up to it, and every part has its turn."""
    geocode = pipeline.enrich.geocode
    if geocode is None or geocode.max_calls_per_run is None:
        return None
    each, rest = divmod(geocode.max_calls_per_run, part.of)
    return each + ((part.number + window.batch_id) % part.of < rest)
