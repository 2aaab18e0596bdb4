"""Statements to Snowflake: those in `sql/`, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

_SQL = Path(__file__).parent / "sql"
_NO_SUCH_OBJECT = 2003
Row = tuple[Any, ...]


def fetch_all(cursor: SnowflakeCursor, statement: str, params: Mapping[str, Any] | None = None) -> list[Row]:
    """Run a statement with bound parameters; return the rows of its result."""
    cursor.execute(statement, dict(params) if params else None)
    return [tuple(row) for row in cursor.fetchall()]


def names_no_object(error: Exception) -> bool:
    """Return whether a statement failed because a table that it names does not exist, or may not be seen."""
    return getattr(error, "errno", None) == _NO_SUCH_OBJECT


def run_sql(cursor: SnowflakeCursor, name: str, **words: object) -> Row:
    """
    Run a statement of `sql/`, with words (quoted identifiers, numbers) filled in.

    Returns:
        The first row of the result: of DML, its row counts.
    """
    return run_sql_all(cursor, name, **words)[0]


def run_sql_all(cursor: SnowflakeCursor, name: str, **words: object) -> list[Row]:
    """Run a statement as `run_sql`; return all rows of its result."""
    return fetch_all(cursor, (_SQL / f"{name}.sql").read_text().format(**words))


def run_bound(cursor: SnowflakeCursor, name: str, params: Mapping[str, Any], **words: object) -> list[Row]:
    """Run a statement of `sql/` with bound parameters, and words filled in; return the rows of its result."""
    escaped = {word: escape(str(text)) for word, text in words.items()}
    return fetch_all(cursor, (_SQL / f"{name}.sql").read_text().format(**escaped), params)


def escape(sql: str) -> str:
    """
    Return SQL for a statement with bound parameters: no per cent sign in it begins one.

    >>> escape('"discount %"')
    '"discount %%"'
    """
    return sql.replace("%", "%%")
