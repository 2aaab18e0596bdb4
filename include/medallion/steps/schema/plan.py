"""
What a schema change means for a run: the columns that its batch has, and what it reads.

Pure: `open_window` gathers the schemas and applies what is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SchemaChanged
from include.medallion.model.schema.changes import NOT_MASKED, Action, Change, Kind, action_for
from include.medallion.model.schema.compare import compare_schemas
from include.medallion.model.schema.source import SchemaColumn, SourceSchema

_CANNOT_FREEZE = {Kind.WIDENED, Kind.NARROWED, Kind.RETYPED, Kind.RECREATED, Kind.KEY, Kind.EXCLUDED, Kind.SETTINGS}
"""Kinds of changes after which the old columns cannot be filled any more, or must not be."""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """
    What a run does about a schema change.

    Args:
        schema: of the batch.
        action: the strongest that a sink needs.
        changes: in words, for the run's summary.
        removes_values: values that were loaded before must not be kept anywhere: a column is excluded or masked now.
    """

    schema: SourceSchema
    action: Action
    changes: tuple[str, ...]
    removes_values: bool = False


def plan_schema(
    pipeline: Pipeline,
    held: Mapping[str, SourceSchema | None],
    now: SourceSchema,
    rows: float,
    *,
    unrecorded: Sequence[str] = (),
    approved: bool | str = False,
) -> SchemaPlan:
    """
    Decide what a run does about the difference between the source's schema and those of the sinks.

    Args:
        held: schema of each sink's position; None where it is not known.
        now: schema of the source.
        rows: of the table, estimated.
        unrecorded: sinks whose schema was recorded, and the record is gone: any change is possible.
        approved: a person has approved the change, which is applied under every policy: any, or the one that the
            `approval` of an earlier `SchemaChanged` describes.

    Raises:
        SchemaChanged: the policy is to fail, a frozen column cannot be filled any more, or more than `max_reload_rows`
            rows would be read again; the message shows the change and the options.
    """
    changes = {name: compare_schemas(schema, now) for name, schema in held.items() if schema}
    every = list(dict.fromkeys(change for some in changes.values() for change in some))
    approved = approved is True or approved == _described(every, unrecorded)
    frozen = [] if approved else [c for c in every if _policy(pipeline, c) == "freeze"]
    if not approved:
        _check_policy(pipeline, every, frozen, _described(every, unrecorded))
    active = {name: [c for c in some if c not in frozen] for name, some in changes.items()}
    actions = {change: _action_of(pipeline, change, active) for change in every}
    action = max([Action.REPLACE if unrecorded else Action.NOTHING, *actions.values()])
    if action >= Action.RELOAD and rows > pipeline.max_reload_rows and not approved:
        raise _too_many_rows(pipeline, every, rows, _described(every, unrecorded))
    schema = _freeze(next(s for s in held.values() if s), now, frozen) if frozen else now
    schema = schema if action is Action.REPLACE else _with_kept_columns(held, schema)
    lines = [f"{change}: {'frozen' if change in frozen else _words(actions[change])}" for change in every]
    lines += [f"the recorded schema of {name} is gone: {_words(Action.REPLACE)}" for name in unrecorded]
    return SchemaPlan(schema, action, tuple(lines), _removes_values(every))


def _with_kept_columns(held: Mapping[str, SourceSchema | None], schema: SourceSchema) -> SourceSchema:
    """Return a schema with the names of the columns that the sinks have besides."""
    there = dict.fromkeys(name for some in held.values() if some for name in _names(some))
    return replace(schema, kept=tuple(sorted(there.keys() - {*_names(schema)})))


def _names(schema: SourceSchema) -> list[str]:
    return [*schema.by_name, *dict(schema.added), *schema.kept]


def plan_refresh(held: Mapping[str, SourceSchema | None], now: SourceSchema) -> SchemaPlan:
    """Return the plan of a full refresh, which replaces the tables with any schema that the source has."""
    changes = [change for schema in held.values() if schema for change in compare_schemas(schema, now)]
    lines = dict.fromkeys(f"{change}: {_words(Action.REPLACE)}" for change in changes)
    return SchemaPlan(now, Action.NOTHING, tuple(lines), _removes_values(changes))


def _removes_values(changes: Sequence[Change]) -> bool:
    return any(change.kind is Kind.EXCLUDED and change.after != NOT_MASKED for change in changes)


def without_new_columns(pipeline: Pipeline, held: Mapping[str, SourceSchema | None], now: SourceSchema) -> SourceSchema:
    """
    Return the schema of the source without the columns that `new_columns: ignore` leaves out.

    They count as excluded, so that all rows are read again once they are included: rows have values in them by then.

    Args:
        held: schema of each sink's position; the columns that one of them has are known. Without any, all are.
    """
    known = {number for schema in held.values() if schema for number in schema.by_attnum}
    if pipeline.columns.new_columns == "include" or not known:
        return now
    new = tuple(number for number in now.by_attnum if number not in known)
    kept = tuple(column for column in now.columns if column.attnum in known)
    return replace(now, columns=kept, excluded=tuple(sorted({*now.excluded, *new})))


def _action_of(pipeline: Pipeline, change: Change, active: Mapping[str, Sequence[Change]]) -> Action:
    """Return the strongest action that one change requires of the sinks that have not seen it."""
    sinks = [name for name, some in active.items() if change in some]
    if sinks and change.kind is Kind.DROPPED and pipeline.columns.dropped_columns == "drop":
        return Action.REPLACE
    return max((action_for([change], name) for name in sinks), default=Action.NOTHING)


def _policy(pipeline: Pipeline, change: Change) -> str:
    return pipeline.policy_for(change.kind.value)


def _words(action: Action) -> str:
    return {
        Action.NOTHING: "nothing to do",
        Action.ADD_COLUMN: "column added",
        Action.RELOAD: "all rows read again",
        Action.REPLACE: "tables replaced",
    }[action]


def _described(changes: Sequence[Change], unrecorded: Sequence[str]) -> str:
    """Return what an approval is for."""
    return ", ".join([*map(str, changes), *(f"the recorded schema of {name} is gone" for name in unrecorded)])


def _check_policy(pipeline: Pipeline, changes: Sequence[Change], frozen: Sequence[Change], described: str) -> None:
    stopped = [c for c in changes if _policy(pipeline, c) == "fail" or (c in frozen and c.kind in _CANNOT_FREEZE)]
    if stopped:
        raise SchemaChanged(
            f"the schema of {_table(pipeline)} changed: {_list(stopped)}. Nothing was written. Undo the change, set "
            f"on_schema_change: evolve in the file of pipeline {pipeline.name}, or trigger medallion_{pipeline.name} "
            "once with approve_schema_change",
            approval={"approve_schema_change": described},
        )


def _too_many_rows(pipeline: Pipeline, changes: Sequence[Change], rows: float, described: str) -> SchemaChanged:
    return SchemaChanged(
        f"the schema of {_table(pipeline)} changed: {_list(changes)}. About {int(rows):,} rows have to be read again, "
        f"more than max_reload_rows ({pipeline.max_reload_rows:,}); cached look-ups are not billed again. Nothing was "
        f"written. Trigger medallion_{pipeline.name} once with approve_schema_change, or raise max_reload_rows",
        approval={"approve_schema_change": described},
    )


def _table(pipeline: Pipeline) -> str:
    return f"{pipeline.source.schema_}.{pipeline.source.table}"


def _list(changes: Sequence[Change]) -> str:
    return ", ".join(map(str, changes))


def _freeze(old: SourceSchema, now: SourceSchema, frozen: Sequence[Change]) -> SourceSchema:
    """Return the schema that keeps the sinks' columns where changes are frozen: names, labels, no new columns."""
    added = _numbers(now, frozen, {Kind.ADDED, Kind.ADDED_WITH_VALUE})
    selected = _numbers(now, frozen, {Kind.SELECTED})
    kept = {c.column for c in frozen if c.kind in {Kind.RENAMED, Kind.LABELS, Kind.EXPRESSION}}
    columns = [_frozen_column(old, column, kept) for column in now.columns if column.attnum not in {*added, *selected}]
    dropped = {c.column for c in frozen if c.kind is Kind.DROPPED}
    return replace(
        now,
        columns=(*columns, *(c for c in old.columns if c.name in dropped)),
        excluded=tuple(sorted({*now.excluded, *selected})),
        frozen=added,
    )


def _numbers(schema: SourceSchema, changes: Sequence[Change], kinds: set[Kind]) -> tuple[int, ...]:
    return tuple(sorted(schema.by_name[change.column].attnum for change in changes if change.kind in kinds))


def _frozen_column(old: SourceSchema, column: SchemaColumn, kept: set[str]) -> SchemaColumn:
    return old.by_attnum[column.attnum] if column.name in kept else column
