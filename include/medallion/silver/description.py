"""What the Snowflake table says of itself: comments of the source, and lengths that its columns have too little of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from include.medallion.errors import ContractBroken
from include.medallion.model.columns import Column, quote_identifier, snowflake_name
from include.medallion.model.types.table import declared_type
from include.medallion.silver.statements import Row, fetch_all
from include.medallion.silver.table import COMMENT, TYPE, quote_text, table_name
from include.medallion.staging.batch import Batch

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

_LENGTH = re.compile(r"(VARCHAR|BINARY)\((\d+)\)")


def describe_table(
    cursor: SnowflakeCursor, batch: Batch, columns: Sequence[Column], described: Mapping[str, Row]
) -> None:
    """
    Carry the comments of the source over, and make columns of text and bytes as long as Snowflake has them.

    Only what differs is changed, and a comment that the source does not have was added in the sink and stays. DDL: to
    be called before BEGIN.

    Args:
        columns: of the batch.
        described: columns of the table, as `read_columns` returns them.

    Raises:
        ContractBroken: Snowflake has created a column under another name.
    """
    target = table_name(batch.pipeline)
    if renamed := sorted(c.snowflake_name for c in columns if c.snowflake_name not in described):
        raise ContractBroken(
            f"columns {renamed} of the Silver table {batch.pipeline.silver_table} have other names there: nothing was "
            "written. Set QUOTED_IDENTIFIERS_IGNORE_CASE to FALSE for the user of connection `silver`, or rename them "
            "with columns.rename"
        )
    for column in columns:
        name = quote_identifier(column.snowflake_name)
        for change in _changes(column, described[column.snowflake_name]):
            cursor.execute(f"ALTER TABLE {target} ALTER COLUMN {name} {change}")
    if batch.comment and batch.comment != _comment(cursor, snowflake_name(batch.pipeline.silver_table)):
        cursor.execute(f"COMMENT ON TABLE {target} IS {quote_text(batch.comment)}")


def _changes(column: Column, row: Row) -> Iterator[str]:
    there, wanted = _LENGTH.fullmatch(row[TYPE]), _LENGTH.fullmatch(declared_type(column.snowflake_type))
    if there and wanted and int(there[2]) < int(wanted[2]):
        yield f"SET DATA TYPE {wanted[0]}"
    if column.comment and column.comment != row[COMMENT]:
        yield f"COMMENT {quote_text(column.comment)}"


def _comment(cursor: SnowflakeCursor, table: str) -> str | None:
    statement = (
        "SELECT COMMENT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = CURRENT_SCHEMA() AND TABLE_NAME = %(name)s"
    )
    found = fetch_all(cursor, statement, {"name": table})
    return found[0][0] if found else None
