"""What the sinks hold, and what a run executes in them because of their schema. Nothing is created or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.apply import gold_schema
from include.medallion.gold.columns import table_schema
from include.medallion.gold.inspect import open_gold
from include.medallion.model.columns import SYSTEM_COLUMNS, Column
from include.medallion.model.schema.changes import Action, action_for
from include.medallion.model.schema.compare import compare_schemas
from include.medallion.model.schema.source import SourceSchema
from include.medallion.model.window import Position
from include.medallion.onboarding.plan.report import SinkPlan
from include.medallion.silver.ledger import find_position
from include.medallion.silver.table import ddl, definitions, read_types, table_name, view_ddl
from include.medallion.steps.sinks import open_sinks

Positions = Mapping[str, Position | None]
_WORDS = {
    Action.NOTHING: "nothing to change",
    Action.ADD_COLUMN: "columns are added",
    Action.RELOAD: "all rows are read again",
    Action.REPLACE: "the table is replaced",
}


def read_positions(pipeline: Pipeline, connections: Connections, source: str) -> dict[str, Position | None]:
    """
    Return what each sink holds; unlike a run, it creates no ledger.

    Raises:
        ContractBroken: the Gold table is one that cannot be written to.
    """
    return {
        sink.name: _silver_position(pipeline, connections) if sink.name == "silver" else sink.position(source)
        for sink in open_sinks(pipeline, connections)
    }


def _silver_position(pipeline: Pipeline, connections: Connections) -> Position | None:
    with closing(connections.silver()) as connection, connection.cursor() as cursor:
        return find_position(cursor, pipeline)


def plan_sinks(
    pipeline: Pipeline,
    connections: Connections,
    positions: Positions,
    held: Mapping[str, SourceSchema | None],
    now: SourceSchema,
    columns: Sequence[Column],
) -> list[SinkPlan]:
    """
    Return a plan for each sink.

    Args:
        held: schema of each sink's position.
        now: schema that the run brings.
        columns: of the source and of the enrichments.
    """
    plans = []
    for name, position in positions.items():
        schema = held.get(name)
        changes = compare_schemas(schema, now) if schema else []
        action = action_for(changes, name)
        target, statements = _ddl(name, pipeline, connections, [*columns, *SYSTEM_COLUMNS], action)
        holds = f"transactions below {position.upto} (batch {position.batch_id})" if position else "nothing"
        plans.append(SinkPlan(name, target, holds, [str(c) for c in changes], _WORDS[action], statements))
    return plans


def _ddl(
    name: str, pipeline: Pipeline, connections: Connections, columns: Sequence[Column], action: Action
) -> tuple[str, list[str]]:
    if name == "silver":
        return pipeline.silver_table, _silver_ddl(pipeline, connections, columns, action)
    if name == "gold":
        return connections.lake.table(pipeline.gold_table), _gold_ddl(pipeline, connections, columns, action)
    return pipeline.sinks[name].open, []


def _silver_ddl(pipeline: Pipeline, connections: Connections, columns: Sequence[Column], action: Action) -> list[str]:
    with closing(connections.silver()) as connection, connection.cursor() as cursor:
        types, wanted = read_types(cursor, pipeline), [column.snowflake_name for column in columns]
        replaced = types and action is Action.REPLACE
        view = view_ddl(cursor, pipeline, wanted if replaced else dict.fromkeys([*types, *wanted]))
    if replaced:
        defined = definitions(columns, pipeline.key)
        return [f"CREATE OR REPLACE TABLE {table_name(pipeline)} ({defined}) COPY GRANTS AS SELECT ...", *view]
    return [*ddl(pipeline, types, columns), *view]


def _gold_ddl(pipeline: Pipeline, connections: Connections, columns: Sequence[Column], action: Action) -> list[str]:
    table, wanted = open_gold(connections.lake, pipeline), gold_schema(columns[: -len(SYSTEM_COLUMNS)], pipeline.key)
    every = ", ".join(f"{field.name} {field.type}" for field in wanted)
    if table is None:
        return [f"create the Delta table ({every})"]
    if action is Action.REPLACE:
        return [f"replace rows and columns of the Delta table in one commit ({every})"]
    there = table_schema(table).names
    missing = [f"{field.name} {field.type}" for field in wanted if field.name not in there]
    return [f"add to the Delta table: {', '.join(missing)}"] if missing else []
