"""The columns of the Delta table, made to fit a batch before its rows are written; no write evolves them implicitly."""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable, Field, Schema, TableFeatures

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken


def table_schema(table: DeltaTable) -> pa.Schema:
    """Return the table's columns in Arrow types."""
    return pa.schema(table.schema().to_arrow())


def check_types(pipeline: Pipeline, table: DeltaTable, schema: pa.Schema) -> None:
    """
    Check that the table can hold every value of these columns as it is: a write would cast it, and round.

    Raises:
        ContractBroken: names the column, both types and the fix.
    """
    there = {field.name: field.type for field in table_schema(table)}
    for field in schema:
        if there.get(field.name, field.type) != field.type:
            raise ContractBroken(
                f"column {field.name} of the Gold table {pipeline.gold_table} is {there[field.name]}, but the rows of "
                f"pipeline {pipeline.name} bring {field.type}: nothing was written. Trigger medallion_{pipeline.name} "
                "with full_refresh, which gives the table the source's types"
            )


def add_columns(table: DeltaTable, schema: pa.Schema) -> pa.Schema:
    """
    Add the columns that the table lacks, each nullable, with the protocol features that their types require.

    Idempotent: a kill leaves columns that are NULL in every row.

    Returns:
        The table's columns afterwards.

    Raises:
        CommitFailedError: another commit came first.
    """
    there = {field.name for field in table.schema().fields}
    missing = [field for field in Schema.from_arrow(schema).fields if field.name not in there]
    if missing:
        add_features(table, pa.schema([schema.field(field.name) for field in missing]))
        table.alter.add_columns([Field(field.name, field.type) for field in missing])
    return table_schema(table)


def add_features(table: DeltaTable, schema: pa.Schema) -> None:
    """Add the protocol features that columns require, unless the table has them."""
    there = table.protocol().writer_features or ()
    if "timestampNtz" not in there and any(_is_timestamp_without_zone(field.type) for field in schema):
        table.alter.add_feature(TableFeatures.TimestampWithoutTimezone, allow_protocol_versions_increase=True)


def _is_timestamp_without_zone(type_: pa.DataType) -> bool:
    return pa.types.is_timestamp(type_) and type_.tz is None
