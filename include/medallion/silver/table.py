"""The Snowflake table: its columns and types, made to fit a batch before its rows are written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.model.columns import DELETED_AT, Column, quote_identifier, snowflake_name
from include.medallion.model.types.table import declared_type
from include.medallion.silver.statements import Row, fetch_all, names_no_object

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

TYPE, COMMENT = 1, 9
"""Columns of DESCRIBE TABLE (https://docs.snowflake.com/en/sql-reference/sql/desc-table)."""
_INTEGERS = {"INTEGER", "INT", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"}
_SYNONYMS = {"STRING": "VARCHAR", "TEXT": "VARCHAR", "DOUBLE": "FLOAT", "REAL": "FLOAT", "DECIMAL": "NUMBER"}
_COLUMNS_OF = (
    "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS "
    "WHERE TABLE_SCHEMA = CURRENT_SCHEMA() AND TABLE_NAME = %(name)s ORDER BY ORDINAL_POSITION"
)

_SEMI_STRUCTURED = {"ARRAY", "OBJECT", "VARIANT"}  # the stand-in describes all of them as VARIANT


def table_name(pipeline: Pipeline) -> str:
    """Return the table's name, quoted."""
    return quote_identifier(snowflake_name(pipeline.silver_table))


def definitions(columns: Sequence[Column], key: Collection[str] = ()) -> str:
    """
    Return columns as CREATE and ALTER TABLE take them.

    Args:
        key: columns that are never NULL.
    """
    return ", ".join(_definition(column, is_key=column.name in key) for column in columns)


def _definition(column: Column, *, is_key: bool) -> str:
    not_null = " NOT NULL" if is_key else ""
    comment = f" COMMENT {quote_text(column.comment)}" if column.comment else ""
    return f"{quote_identifier(column.snowflake_name)} {declared_type(column.snowflake_type)}{not_null}{comment}"


def quote_text(text: str) -> str:
    """
    Quote a literal of Snowflake's SQL.

    >>> quote_text("the customer's name")
    "'the customer''s name'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def read_columns(cursor: SnowflakeCursor, pipeline: Pipeline) -> dict[str, Row]:
    """Return what DESCRIBE TABLE says of each column, by name; nothing if there is no table."""
    try:
        return {row[0]: row for row in fetch_all(cursor, f"DESCRIBE TABLE {table_name(pipeline)}")}
    except Exception as e:
        if names_no_object(e):
            return {}
        raise


def read_types(cursor: SnowflakeCursor, pipeline: Pipeline) -> dict[str, str]:
    """Return the type of each column of the table, comparable by `comparable`; nothing if there is no table."""
    return types_of(read_columns(cursor, pipeline))


def types_of(described: Mapping[str, Row]) -> dict[str, str]:
    """Return the types of columns that `read_columns` found, comparable by `comparable`."""
    return {name: comparable(row[TYPE]) for name, row in described.items()}


def comparable(type_: str) -> str:
    """
    Return a type in a form that is equal for equal types, however they are spelled.

    Lengths of text and precisions of times do not count: they limit no value that passes validation
    (https://docs.snowflake.com/en/sql-reference/intro-summary-data-types).
    """
    name, _, arguments = type_.upper().partition("(")
    name = _SYNONYMS.get(name.strip(), name.strip())
    if name in _INTEGERS:
        return "NUMBER(38,0)"
    if name in _SEMI_STRUCTURED:
        return "VARIANT"
    if name == "NUMBER":
        digits = re.findall(r"\d+", arguments) or ["38"]
        return f"NUMBER({digits[0]},{digits[1] if len(digits) > 1 else 0})"
    return name


def fits(types: dict[str, str], columns: Sequence[Column]) -> bool:
    """Return whether the table has exactly these columns with these types."""
    return types == {c.snowflake_name: comparable(c.snowflake_type) for c in columns}


def check_types(pipeline: Pipeline, types: dict[str, str], columns: Sequence[Column]) -> None:
    """
    Check that the table can hold every value of these columns as it is: Snowflake would cast it, and round.

    Raises:
        ContractBroken: names the column, both types and the fix.
    """
    for column in columns:
        wanted, there = comparable(column.snowflake_type), types.get(column.snowflake_name)
        if there is not None and there != wanted:
            raise ContractBroken(
                f"column {column.snowflake_name} of the Silver table {pipeline.silver_table} is {there}, but the rows "
                f"of pipeline {pipeline.name} bring {wanted}: nothing was written. Trigger medallion_{pipeline.name} "
                "with full_refresh, which gives the table the source's types"
            )


def add_columns(
    cursor: SnowflakeCursor, pipeline: Pipeline, described: dict[str, Row], columns: Sequence[Column]
) -> dict[str, Row]:
    """
    Create the table, or add the columns that it lacks. Idempotent.

    Args:
        described: columns that the table has, as `read_columns` returns them.

    Returns:
        The columns that it has then.
    """
    statements = ddl(pipeline, described, columns)
    for statement in statements:
        cursor.execute(statement)
    return read_columns(cursor, pipeline) if statements else described


def ddl(pipeline: Pipeline, there: Collection[str], columns: Sequence[Column]) -> list[str]:
    """
    Return the statements that create the table, or add the columns that it lacks.

    Args:
        there: names of the columns that the table has; none if there is no table.
    """
    target = table_name(pipeline)
    if not there:
        return [f"CREATE TABLE IF NOT EXISTS {target} ({definitions(columns, pipeline.key)})"]
    missing = [column for column in columns if column.snowflake_name not in there]
    return [f"ALTER TABLE {target} ADD COLUMN IF NOT EXISTS {definitions([column])}" for column in missing]


def update_view(cursor: SnowflakeCursor, pipeline: Pipeline, columns: Iterable[str]) -> None:
    """
    Create the view of living rows, if the pipeline file names one, or replace one that lacks columns of the table.

    DDL: to be called before BEGIN.

    Args:
        columns: names of the table's columns.
    """
    for statement in view_ddl(cursor, pipeline, columns):
        cursor.execute(statement)


def view_ddl(cursor: SnowflakeCursor, pipeline: Pipeline, columns: Iterable[str]) -> list[str]:
    """
    Return the statement that creates the view of living rows, or gives it the columns of the table, if need be.

    A view keeps the columns that its table had when it was created.

    Args:
        columns: names of the table's columns.
    """
    if pipeline.silver is None or pipeline.silver.live_view is None:
        return []
    name, deleted = snowflake_name(pipeline.silver.live_view), snowflake_name(DELETED_AT)
    wanted = [column for column in columns if column != deleted]
    if [row[0] for row in fetch_all(cursor, _COLUMNS_OF, {"name": name})] == wanted:
        return []
    chosen, target = ", ".join(map(quote_identifier, wanted)), table_name(pipeline)
    rows = f"SELECT {chosen} FROM {target} WHERE {quote_identifier(deleted)} IS NULL"  # noqa: S608 (quoted)
    return [f"CREATE OR REPLACE VIEW {quote_identifier(name)} COPY GRANTS AS {rows}"]
