"""Step 1: decide what a run reads, so that every retry reads the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.medallion.bronze.filter import check_accepted
from include.medallion.bronze.horizon import read_horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.selection.conditions import keys_condition, where_condition
from include.medallion.bronze.table import SourceTable, check_columns
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SchemaChanged, SettingError
from include.medallion.lake.object_store import Lake, opened_beside
from include.medallion.model.schema.changes import Action
from include.medallion.model.schema.source import SourceSchema
from include.medallion.model.window import Mode, Position, SourceSnapshot, Window, plan_window
from include.medallion.staging.records.selection import write_condition
from include.medallion.staging.records.used_ids import newest_id, record_id
from include.medallion.staging.removal import schedule_removal
from include.medallion.staging.sink import Sink
from include.medallion.steps.log.window import continue_log, open_log
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.schema.plan import SchemaPlan, plan_refresh, plan_schema, without_new_columns
from include.medallion.steps.schema.records import current_schema, record_schema, schemas_held, unrecorded
from include.medallion.steps.schema.source import describe_source, with_older_values
from include.medallion.steps.sinks import open_sinks

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection

Remembered = Mapping[str, Position | None]
"""Positions of sinks that the scheduler remembers, by the sink's name."""


def open_window(
    pipeline: Pipeline,
    connections: Connections,
    options: RunOptions = RunOptions(),  # noqa: B008 (immutable)
    remembered: Remembered | None = None,
) -> Window:
    """
    Open the window of a run: from the position of the sink that is furthest behind, up to the source's horizon.

    Args:
        remembered: positions that need not be asked for again. They are a hint: `apply` checks the real position.

    Raises:
        ClockSkew: the clocks of this worker and of the source are too far apart.
        SourceChanged: a sink was filled from another source.
        SchemaChanged: a change of the table's schema needs a decision.
        SettingError: the table or one of its columns is missing, or `refresh_lookups` has no Gold table to read.
        ContractBroken, Transient: the table has no unique key; the source cannot be reached.
    """
    _check_refresh(pipeline, options)
    lake = connections.lake
    with opened_beside(lake), bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        table = describe_source(connection, pipeline, connections)
        check_columns(pipeline, table)
        condition = _reload_condition(connection, pipeline, options)
        opened = open_log(pipeline, connections, table, connection) if _may_read_log(pipeline, options) else None
        snapshot = read_horizon(connection, table)
        positions = read_positions(open_sinks(pipeline, connections), snapshot.source, _of(remembered, snapshot))
        now, at, newest = datetime.now(UTC), [*positions.values()], newest_id(lake, pipeline.name)
        window = plan_window(pipeline.name, snapshot, at, now, options.mode, options.max_rows, newest)
        record_id(lake, pipeline.name, window.batch_id)
        held = schemas_held(lake, pipeline.name, positions)
        table = with_older_values(connection, pipeline, table, held, window)
    plan = _plan_schema(pipeline, positions, held, table, options)
    if plan.removes_values:
        schedule_removal(lake, window)
    window = _with_plan(_with_schemas(lake, window, positions, plan, current_schema(pipeline, table)), plan)
    if condition is not None:
        write_condition(lake, window, condition)
    return continue_log(pipeline, lake, opened, positions.values(), window, snapshot.lsn) if opened else window


def _of(remembered: Remembered | None, snapshot: SourceSnapshot) -> Remembered:
    """Return the remembered positions that can be of this source: after it was accepted, older ones are not."""
    return {name: p for name, p in (remembered or {}).items() if p is None or p.is_of(snapshot)}


def _with_schemas(lake: Lake, window: Window, positions: Remembered, plan: SchemaPlan, seen: SourceSchema) -> Window:
    """Record the schemas that the batch was planned with, and return a window that names them."""
    planned_from = tuple({position.schema for position in positions.values() if position})
    schema = record_schema(lake, window.pipeline, plan.schema, planned_from)
    seen_as = record_schema(lake, window.pipeline, seen, {*planned_from, schema})
    return replace(window, schema=schema, changes=plan.changes, seen=seen_as, planned_from=planned_from)


def _may_read_log(pipeline: Pipeline, options: RunOptions) -> bool:
    return pipeline.source.read == "log" and options.mode.advances_watermark


def read_positions(sinks: Sequence[Sink], source: str, remembered: Remembered) -> dict[str, Position | None]:
    """Return what each sink holds: as remembered, where asking costs something, or else as the sink says."""
    return {
        sink.name: remembered[sink.name]
        if sink.remember_position and sink.name in remembered
        else sink.position(source)
        for sink in sinks
    }


def _reload_condition(connection: AdbcConnection, pipeline: Pipeline, options: RunOptions) -> str | None:
    """Return the condition that the rows of a reload meet, once PostgreSQL accepts it; None for another run."""
    if options.reload_where:
        condition, setting = where_condition(options.reload_where), "reload_where"
    elif options.reload_keys:
        condition, setting = keys_condition(pipeline.source.key[0], options.reload_keys), "reload_keys"
    else:
        return None
    check_accepted(connection, pipeline.source, condition, setting)
    return condition


def _plan_schema(
    pipeline: Pipeline,
    positions: Remembered,
    held: Mapping[str, SourceSchema | None],
    table: SourceTable,
    options: RunOptions,
) -> SchemaPlan:
    now = without_new_columns(pipeline, held, current_schema(pipeline, table))
    if options.mode is Mode.REFRESH:
        return plan_refresh(held, now)
    unknown = unrecorded(positions, held, now)
    plan = plan_schema(pipeline, held, now, table.rows, unrecorded=unknown, approved=options.approve_schema_change)
    most = Action.RELOAD if options.mode is Mode.LOOKUPS else Action.NOTHING  # a refresh reads Gold by its columns
    if options.mode is Mode.ACCEPT and plan.action > Action.NOTHING:
        raise SchemaChanged(
            f"the source of pipeline {pipeline.name} is another one and its schema differs "
            f"({'; '.join(plan.changes)}): its rows cannot be compared, so trigger medallion_{pipeline.name} with "
            "full_refresh"
        )
    if options.mode is not Mode.WINDOW and plan.action > most:
        raise SchemaChanged(
            f"the schema of the source of pipeline {pipeline.name} changed ({'; '.join(plan.changes)}): trigger a run "
            "without options first"
        )
    return plan


def _with_plan(window: Window, plan: SchemaPlan) -> Window:
    """Read all rows where a schema change requires it: into the same tables, or into new ones."""
    if window.mode is not Mode.WINDOW or plan.action < Action.RELOAD:
        return window
    return replace(window, after=0, mode=Mode.REFRESH if plan.action is Action.REPLACE else Mode.WINDOW)


def _check_refresh(pipeline: Pipeline, options: RunOptions) -> None:
    if options.mode is Mode.LOOKUPS and pipeline.gold is None:
        raise SettingError(
            f"refresh_lookups reads the rows to refresh from Gold, and pipeline {pipeline.name} has no gold: add one, "
            "or trigger full_refresh"
        )
