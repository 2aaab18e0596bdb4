"""
The source: one Postgres table, read by transaction id as a stream of Arrow record batches.

Needs no right but SELECT on the table, no DDL, no slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import adbc_driver_manager

from include.medallion.bronze.connection import fetch_rows
from include.medallion.config.pipeline import Pipeline, Source
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.model.columns import Column, quote_literal, source_column
from include.medallion.model.source_schema import SchemaColumn

_SEPARATOR = "\x1f"
_KINDS = {"r": "table", "p": "partitioned table", "m": "materialised view"}


@dataclass(frozen=True, slots=True)
class SourceTable:
    """What the catalogue says of the table."""

    identity: str
    relation: int
    rows: float  # the planner's estimate; -1 when it has none
    columns: tuple[Column, ...]
    details: tuple[SchemaColumn, ...] = ()  # of the same columns, as schemas are compared
    excluded: tuple[int, ...] = ()  # numbers of the columns that the pipeline excludes


def describe_table(connection: adbc_driver_manager.AdbcConnection, source: Source) -> SourceTable:
    """
    Look the table up and check what the pipeline promises of it.

    Raises:
        SettingError: no such table, or columns that the pipeline names are missing.
        ContractBroken: its kind has no transaction ids, or its key is not unique.
    """
    where = f"source {source.schema_}.{source.table}"
    found = fetch_rows(connection, "table", schema=quote_literal(source.schema_), table=quote_literal(source.table))
    if not found:
        raise SettingError(f"{where} does not exist or cannot be seen: check source.schema, source.table and the role")
    table = found[0]
    if table["kind"] not in _KINDS:
        raise ContractBroken(f"{where} is no table (kind {table['kind']!r}): rows of views carry no transaction id")
    if table["kind"] == "r" and table["has_children"]:
        raise ContractBroken(f"{where} has tables that inherit from it, over which no key is unique: use partitions")
    found = fetch_rows(connection, "columns", relation=table["relation"])
    if unknown := set(source.exclude) - {r["name"] for r in found}:
        raise SettingError(f"source.exclude names columns that the table does not have: {sorted(unknown)}")
    _check_key(connection, table["relation"], source, where)
    chosen = [r for r in found if r["name"] not in source.exclude]
    columns = tuple(source_column(r["name"], r["typname"], r["typmod"]) for r in chosen)
    details = tuple(_detail(row, column) for row, column in zip(chosen, columns, strict=True))
    excluded = tuple(r["attnum"] for r in found if r["name"] in source.exclude)
    return SourceTable(table["identity"], table["relation"], table["rows"], columns, details, excluded)


def _detail(row: Mapping[str, Any], column: Column) -> SchemaColumn:
    return SchemaColumn(
        attnum=row["attnum"],
        name=column.name,
        type=row["declared"],
        arrow=str(column.type),
        snowflake=column.snowflake_type,
        generated=row["generated"],
        definition=row["definition"],
        has_default=row["has_default"],
    )


def check_columns(pipeline: Pipeline, table: SourceTable) -> None:
    """
    Check that the columns the pipeline reads are there.

    Raises:
        SettingError: names the missing ones and those there are.
    """
    there = {c.name for c in table.columns}
    if missing := [c for c in [*pipeline.source.key, *pipeline.enrichment_columns] if c not in there]:
        raise SettingError(f"pipeline {pipeline.name} names columns {missing}, but the table has {sorted(there)}")


def _check_key(connection: adbc_driver_manager.AdbcConnection, relation: int, source: Source, where: str) -> None:
    found = fetch_rows(connection, "keys", relation=relation, separator=quote_literal(_SEPARATOR))
    unique = [set(r["columns"].split(_SEPARATOR)) for r in found]
    if not any(columns <= set(source.key) for columns in unique):
        raise ContractBroken(
            f"{where}: key {source.key} is not unique: no primary key or unique index covers it. Set source.key to one "
            f"of {sorted(sorted(u) for u in unique)}, or add a primary key"
        )
