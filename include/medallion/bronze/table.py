"""
The source: one Postgres table, read by transaction id as a stream of Arrow record batches.

Needs no right but SELECT on the table, no DDL, no slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import adbc_driver_manager

from include.medallion.bronze.filter import check_filter
from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.columns import ColumnSettings
from include.medallion.config.sections.tables import Source
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.model.columns import Column, quote_literal, selected_column
from include.medallion.model.schema.source import SchemaColumn
from include.medallion.model.types.choices import TypeChoices
from include.medallion.model.types.table import SourceType
from include.medallion.model.values.masks import Mask

_SEPARATOR = "\x1f"
_KINDS = {"r": "table", "p": "partitioned table", "m": "materialised view"}


@dataclass(frozen=True, slots=True)
class SourceTable:
    """What the catalogue says of the table."""

    identity: str
    relation: int
    rows: float  # the planner's estimate; -1 when it has none
    columns: tuple[Column, ...]
    comment: str = ""
    details: tuple[SchemaColumn, ...] = ()  # of the same columns, as schemas are compared
    excluded: tuple[int, ...] = ()  # numbers of the columns that the pipeline excludes


def describe_table(
    connection: adbc_driver_manager.AdbcConnection,
    source: Source,
    selection: ColumnSettings = ColumnSettings(),  # noqa: B008 (immutable)
    masks: Mapping[str, Mask] = MappingProxyType({}),
    choices: TypeChoices = TypeChoices(),  # noqa: B008 (immutable)
) -> SourceTable:
    """
    Look the table up and check what the pipeline promises of it.

    Args:
        selection: which columns flow, and under which name.
        masks: of columns, by their name in the source.
        choices: what the pipeline file chooses for types.

    Raises:
        SettingError: no such table, or columns that the pipeline names are missing.
        ContractBroken: its kind has no transaction ids, or its key is not unique.
    """
    where = f"source {source.schema_}.{source.table}"
    found = fetch_rows(connection, "table", schema=quote_literal(source.schema_), table=quote_literal(source.table))
    if not found:
        raise SettingError(f"{where} does not exist or cannot be seen: check source.schema, source.table and the role")
    table = found[0]
    _check_kind(table, where)
    found = fetch_rows(connection, "columns", relation=table["relation"], separator=quote_literal(_SEPARATOR))
    names = [r["name"] for r in found]
    if unknown := selection.named - {*names}:
        raise SettingError(f"columns names columns that the table does not have: {sorted(unknown)}")
    _check_key(connection, table["relation"], source, where)
    check_filter(connection, source, names)
    chosen = [r for r in found if selection.selects(r["name"])]
    choices.check_names({r["name"]: _type_names(r) for r in found})
    columns = tuple(_column(r, selection, masks, choices) for r in chosen)
    details = tuple(_detail(row, column) for row, column in zip(chosen, columns, strict=True))
    excluded = tuple(r["attnum"] for r in found if not selection.selects(r["name"]))
    about = (table["identity"], table["relation"], table["rows"])
    return SourceTable(*about, columns, table["comment"], details, excluded)


def _column(
    row: Mapping[str, Any], selection: ColumnSettings, masks: Mapping[str, Mask], choices: TypeChoices
) -> Column:
    described = choices.describe(row["name"], _source_type(row), _type_names(row))
    selected = selected_column(described, selection.sink_name(described.name), masks.get(described.name))
    return replace(selected, comment=row["comment"], any_bytes=row["any_bytes"])


def _check_kind(table: Mapping[str, Any], where: str) -> None:
    if table["kind"] not in _KINDS:
        raise ContractBroken(f"{where} is no table (kind {table['kind']!r}): rows of views carry no transaction id")
    if table["kind"] == "r" and table["has_children"]:
        raise ContractBroken(f"{where} has tables that inherit from it, over which no key is unique: use partitions")


def _source_type(row: Mapping[str, Any]) -> SourceType:
    return SourceType(row["typname"], row["typmod"], row["dimensions"])


def _type_names(row: Mapping[str, Any]) -> frozenset[str]:
    """Return the names by which a pipeline file may call a column's type: as declared, and without its modifier."""
    array = "[]" if row["dimensions"] else ""
    declared = row["declared"]
    short = {f"{row['typname']}{array}"} if row["typname"] else set()
    return frozenset({declared, re.sub(r"\(.*?\)", "", declared), *short})


def _detail(row: Mapping[str, Any], column: Column) -> SchemaColumn:
    return SchemaColumn(
        attnum=row["attnum"],
        name=column.name,
        type=row["declared"],
        arrow=str(column.type),
        snowflake=column.snowflake_type,
        mask=str(column.mask or ""),
        out_of_range=column.out_of_range,
        generated=row["generated"],
        definition=tuple(filter(None, row["definition"].split(_SEPARATOR))),
        has_default=row["has_default"],
    )


def check_columns(pipeline: Pipeline, table: SourceTable) -> None:
    """
    Check that the columns the pipeline reads are there.

    Raises:
        SettingError: names the missing ones and those there are.
    """
    there = {c.name for c in table.columns}
    named = dict.fromkeys([*pipeline.key, *pipeline.enrichment_columns, *pipeline.expected_columns])
    if missing := [c for c in named if c not in there]:
        raise SettingError(f"pipeline {pipeline.name} names columns {missing}, but the table has {sorted(there)}")


def _check_key(connection: adbc_driver_manager.AdbcConnection, relation: int, source: Source, where: str) -> None:
    found = fetch_rows(connection, "keys", relation=relation, separator=quote_literal(_SEPARATOR))
    unique = [set(r["columns"].split(_SEPARATOR)) for r in found]
    if not any(columns <= set(source.key) for columns in unique):
        raise ContractBroken(
            f"{where}: key {source.key} is not unique: no primary key or unique index covers it. Set source.key to one "
            f"of {sorted(sorted(u) for u in unique)}, or add a primary key"
        )
