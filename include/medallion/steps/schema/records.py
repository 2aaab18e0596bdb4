"""Schemas of the source and of the sinks' positions: read, recorded in the lake, and turned into columns to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from hashlib import sha256

from include.medallion.bronze.table import SourceTable
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SchemaChanged
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import Column
from include.medallion.model.schema.changes import Kind
from include.medallion.model.schema.compare import compare_schemas, has_other_keys
from include.medallion.model.schema.source import UNKNOWN, SchemaColumn, SourceSchema, fingerprint
from include.medallion.model.window import Position, Window
from include.medallion.staging.layout import schema_file
from include.medallion.staging.records.documents import read_document, write_document


def current_schema(pipeline: Pipeline, table: SourceTable) -> SourceSchema:
    """Return the schema of the source as the pipeline sees it now."""
    settings = (("where", _digest(pipeline.source.where)),) if pipeline.source.where else ()
    return SourceSchema(
        columns=table.details,
        excluded=table.excluded,
        key=tuple(pipeline.key),
        settings=settings,
        added=pipeline.added_types,
    )


def _digest(text: str) -> str:
    """Return what identifies a text without repeating it: its literals may be personal data."""
    return sha256(text.encode()).hexdigest()[:16]


def schemas_held(lake: Lake, pipeline: str, positions: Mapping[str, Position | None]) -> dict[str, SourceSchema | None]:
    """Return the schema of each sink's position, None where it was never recorded."""
    read = {number: read_schema(lake, pipeline, number) for number in {p.schema for p in positions.values() if p}}
    return {name: read[p.schema] if p else None for name, p in positions.items()}


def unrecorded(
    positions: Mapping[str, Position | None], held: Mapping[str, SourceSchema | None], now: SourceSchema
) -> list[str]:
    """Return the sinks whose schema was recorded and is not any more, unless it is the one that the source has now."""
    known = {UNKNOWN, fingerprint(now)}
    return [name for name, p in positions.items() if p and held[name] is None and p.schema not in known]


def record_schema(lake: Lake, pipeline: str, schema: SourceSchema, recorded: Collection[int]) -> int:
    """
    Record a schema, so that a batch and a position can name it.

    Args:
        recorded: fingerprints that need not be recorded again.

    Returns:
        The schema's fingerprint.
    """
    number = fingerprint(schema)
    if number not in recorded and read_schema(lake, pipeline, number) is None:
        write_document(lake, schema_file(pipeline, number), schema)
    return number


def read_schema(lake: Lake, pipeline: str, number: int) -> SourceSchema | None:
    """Return a recorded schema; None if it was never recorded."""
    if number == UNKNOWN:
        return None
    try:
        return read_document(lake, schema_file(pipeline, number), SourceSchema)
    except (FileNotFoundError, ContractBroken):
        return None


def check_comparable(
    lake: Lake, pipeline: Pipeline, table: SourceTable, positions: Mapping[str, Position | None]
) -> None:
    """
    Check that the keys of the source can be compared with those that the sinks hold.

    Raises:
        SchemaChanged: the key, its values, its mask or the row filter changed since the sinks were filled.
    """
    now = current_schema(pipeline, table)
    held = [schema for schema in schemas_held(lake, pipeline.name, positions).values() if schema]
    if any(_has_other_rows(schema, now) for schema in held):
        raise SchemaChanged(
            f"source.key, its type, its mask or source.where of pipeline {pipeline.name} changed since the sinks were "
            f"filled: nothing was compared. Run medallion_{pipeline.name} first, which replaces their rows"
        )


def _has_other_rows(before: SourceSchema, now: SourceSchema) -> bool:
    """Return whether rows, or the keys by which they are known, are other ones than before."""
    where = (dict(schema.settings).get("where") for schema in (before, now))
    keys = ([_form(column) for column in schema.columns if column.name in now.key] for schema in (before, now))
    return len({*where}) > 1 or len({*map(tuple, keys)}) > 1 or has_other_keys(before, now)


def columns_to_read(lake: Lake, window: Window, now: SourceSchema, table: SourceTable) -> tuple[Column, ...]:
    """
    Return the columns that a batch reads: those of its schema that the table still has.

    Raises:
        SchemaChanged: the table's schema changed between the opening of the window and now.
    """
    planned = read_schema(lake, window.pipeline, window.schema) if window.schema != fingerprint(now) else None
    if planned is None:
        return table.columns
    check_unchanged(read_schema(lake, window.pipeline, window.seen) or planned, now, window)
    described = {detail.attnum: column for detail, column in zip(table.details, table.columns, strict=True)}
    found = [(column, described[column.attnum]) for column in planned.columns if column.attnum in described]
    return tuple(
        replace(source, name=column.name, source_name=source.source_name or source.name) for column, source in found
    )


def columns_to_compare(
    lake: Lake, pipeline: Pipeline, table: SourceTable, positions: Mapping[str, Position | None]
) -> list[Column]:
    """Return the columns of the source, by their name in the sinks, that every sink has in the same form."""
    held = [schema for schema in schemas_held(lake, pipeline.name, positions).values() if schema]
    found = []
    for detail, column in zip(table.details, table.columns, strict=True):
        theirs = [schema.by_attnum.get(detail.attnum) for schema in held]
        names = {known.name for known in theirs if known} or {column.name}
        same = all(known is not None and _form(known) == _form(detail) for known in theirs)
        if same and len(names) == 1:
            found.append(replace(column, name=names.pop(), source_name=column.source_name or column.name))
    return found


def _form(column: SchemaColumn) -> tuple[object, ...]:
    return column.type, column.arrow, column.snowflake, column.generated, column.definition, column.mask


def check_unchanged(seen: SourceSchema, now: SourceSchema, window: Window) -> None:
    """
    Check that a batch can still be read as it was planned.

    Columns that were added, renamed or dropped since do no harm: columns are read by their number, and the next run
    sees the change. Other changes are in the values that are read, and the next run would not see one that was undone.

    Args:
        seen: schema of the source when the window was opened.

    Raises:
        SchemaChanged: the batch cannot be read any more.
    """
    if unplanned := [change for change in compare_schemas(seen, now) if change.kind not in _HARMLESS]:
        raise SchemaChanged(
            f"the source's schema changed while batch {window.batch_id} was starting: "
            f"{', '.join(map(str, unplanned))}. Nothing was written; the next run takes the change into account"
        )


_HARMLESS = {Kind.ADDED, Kind.ADDED_WITH_VALUE, Kind.RENAMED, Kind.DROPPED}
