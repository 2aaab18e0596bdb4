"""Gather a plan: each place is asked once, and a failure of one leaves the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from include.medallion.bronze.horizon import read_snapshot
from include.medallion.bronze.postgres.connection import connect
from include.medallion.bronze.table import SourceTable, check_columns
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.registry import open_enrichments
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import OP_COLUMN, SYSTEM_COLUMNS, Column, check_names
from include.medallion.model.schema.changes import Action
from include.medallion.model.schema.source import SourceSchema
from include.medallion.model.window import Mode, Position, SourceSnapshot, Window, plan_window
from include.medallion.onboarding.plan.lookups import add_notes, plan_lookup
from include.medallion.onboarding.plan.numbers import text_numbers
from include.medallion.onboarding.plan.report import Plan
from include.medallion.onboarding.plan.sinks import plan_sinks, read_positions
from include.medallion.onboarding.plan.source import (
    Connection,
    check_rights,
    plan_columns,
    plan_source,
    read_keys,
)
from include.medallion.staging.records.used_ids import newest_id
from include.medallion.steps.enrich import place_sources
from include.medallion.steps.schema.plan import SchemaPlan, plan_schema, without_new_columns
from include.medallion.steps.schema.records import current_schema, schemas_held
from include.medallion.steps.schema.source import describe_source

Positions = Mapping[str, Position | None]


@dataclass(frozen=True, slots=True)
class _Source:
    """The table as it was found, in one snapshot."""

    table: SourceTable
    snapshot: SourceSnapshot
    enrichments: tuple[Enrichment, ...]

    @property
    def added(self) -> list[Column]:
        return [column for enrichment in self.enrichments for column in enrichment.columns]


def make_plan(pipeline: Pipeline, connections: Connections, server: str) -> Plan:
    """
    Return what the next run of a pipeline would do. Nothing is written anywhere.

    Args:
        server: the source's connection and server, for people.
    """
    plan = Plan(pipeline.name)
    with plan.finding_failures(), connect(connections.bronze, pipeline.source.connection) as connection:
        source = _describe(connection, pipeline, connections)
        plan.columns = plan_columns(source.table, source.added)
        for note in text_numbers(pipeline, source.table):
            plan.note(note)
        positions: Positions = {}
        with plan.finding_failures():
            positions = read_positions(pipeline, connections, source.table.identity)
        window = _window(plan, pipeline, connections, source, positions)
        schemas = _plan_schemas(plan, pipeline, connections, source, positions)
        if schemas and window.mode is Mode.WINDOW and schemas.action >= Action.RELOAD:
            window = replace(window, after=0, mode=Mode.REFRESH if schemas.action is Action.REPLACE else Mode.WINDOW)
        plan.source, layout = plan_source(connection, pipeline, server, source.table, window)
        if window.lag:
            plan.note(f"{window.lag:,} transactions are held back by one that is still open: a later run reads them")
        for number, enrichment in enumerate(source.enrichments):
            if not {*enrichment.reads} <= {column.name for column in source.table.columns}:
                plan.note(f"enrichment {number + 1} reads what an earlier one adds: its keys are known in the run only")
                continue
            with plan.finding_failures():
                keys = read_keys(connection, pipeline, source.table, window, layout, enrichment)
                now = datetime.now(UTC)
                plan.lookups.append(plan_lookup(connections.lake, pipeline, number, enrichment, keys, now))
        add_notes(plan)
    return plan


def _describe(connection: Connection, pipeline: Pipeline, connections: Connections) -> _Source:
    """Look the table up and check what a run checks of it: columns, rights, enrichments, names."""
    table = describe_source(connection, pipeline, connections)
    check_columns(pipeline, table)
    check_rights(connection, pipeline, table)
    enrichments = open_enrichments(pipeline, table.columns, connections.environ, place_sources(pipeline, connections))
    source = _Source(table, read_snapshot(connection, table), enrichments)
    check_names([*table.columns, *source.added, *SYSTEM_COLUMNS, OP_COLUMN])
    return source


def _window(plan: Plan, pipeline: Pipeline, connections: Connections, source: _Source, positions: Positions) -> Window:
    """Return the window of the next run; all rows where the sinks' positions do not allow one."""
    held, now = list(positions.values()), datetime.now(UTC)
    with plan.finding_failures():
        newest = newest_id(connections.lake, pipeline.name)
        return plan_window(pipeline.name, source.snapshot, held, now, newest_id=newest)
    return Window(pipeline.name, source.table.identity, 0, source.snapshot.xmin, 1)


def _plan_schemas(
    plan: Plan, pipeline: Pipeline, connections: Connections, source: _Source, positions: Positions
) -> SchemaPlan | None:
    """Plan the sinks, and what the difference between the schemas means for what is read."""
    made, lake = None, connections.lake
    with plan.finding_failures():
        held = schemas_held(lake, pipeline.name, positions)
        now = without_new_columns(pipeline, held, current_schema(pipeline, source.table))
        with plan.finding_failures():
            made = plan_schema(pipeline, held, now, source.table.rows)
        brought = made.schema if made else now
        columns = [*_brought(source.table.columns, brought), *source.added]
        plan.sinks = plan_sinks(pipeline, connections, positions, held, brought, columns)
    return made


def _brought(columns: Sequence[Column], schema: SourceSchema) -> list[Column]:
    names = {column.name for column in schema.columns}
    return [column for column in columns if column.name in names]
