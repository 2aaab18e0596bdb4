"""What the source says of a table: its keys, columns and size, and a sample of its values. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import execute, fetch_sql, read_error
from include.medallion.bronze.table import describe_table
from include.medallion.config.connection_info import DEFAULT_PORT, ConnectionInfo
from include.medallion.config.sections.tables import Source
from include.medallion.errors import SettingError
from include.medallion.model.columns import Column, quote_identifier, quote_literal

Connection = adbc_driver_manager.AdbcConnection
SAMPLE_ROWS, WHOLE_ROWS = 1_000, 100_000
"""Rows that are looked at, and the size of a table up to which they are its first ones."""
MAX_SAMPLED_COLUMNS, MAX_CHARACTERS = 100, 200
_SQL = Path(__file__).parent / "sql"
KINDS = {"r": "table", "p": "partitioned table", "m": "materialised view", "v": "view", "f": "foreign table"}
READABLE_KINDS = frozenset({"r", "p", "m"})


@dataclass(frozen=True, slots=True)
class Relation:
    """Something with rows, as the catalog lists it."""

    schema: str
    name: str
    relation: int
    kind: str
    readable: bool

    @property
    def title(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Key:
    """Columns in which no two rows are equal."""

    columns: tuple[str, ...]
    is_primary: bool
    not_null: bool


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table as `init` sees it.

    Args:
        rows: estimated by the planner; below 0 if it was never analysed.
        declared: the type of each column, as PostgreSQL names it.
        sample: distinct texts of each column, without NULL and blanks, of some rows; and the rows themselves.
    """

    relation: Relation
    keys: tuple[Key, ...]
    rows: float
    columns: tuple[Column, ...]
    declared: dict[str, str]
    sample: tuple[dict[str, str | None], ...]

    def values(self, column: str) -> list[str]:
        """Return the distinct values of a column in the sample."""
        return list(dict.fromkeys(text for row in self.sample if (text := row.get(column)) and text.strip()))


def describe_server(conn_id: str, info: ConnectionInfo) -> str:
    """Return a connection and the server that it leads to, without its password."""
    place = f"{info.host or 'localhost'}:{info.port or DEFAULT_PORT}/{info.schema or ''}"
    return f"connection {conn_id} (AIRFLOW_CONN_{conn_id.upper()}): {info.login or ''}@{place}"


def find_relations(connection: Connection, schema: str, pattern: str) -> list[Relation]:
    """
    Return the relations of a schema that match a pattern, such as `customers` or `*`.

    Raises:
        SettingError: there is none; the message names similar ones.
    """
    sql = (_SQL / "relations.sql").read_text().format(schema=quote_literal(schema))
    every = [Relation(schema, r["name"], r["relation"], r["kind"], r["readable"]) for r in fetch_sql(connection, sql)]
    found = [one for one in every if one.name == pattern] or [one for one in every if fnmatchcase(one.name, pattern)]
    if not found:
        names = [one.name for one in every]
        near = get_close_matches(pattern.lower(), names, n=3, cutoff=0.5) or names[:10]
        raise SettingError(
            f"no table matches {schema}.{pattern}: spell it as the system catalog does; there are {near or 'none'}"
        )
    return found


def inspect_table(connection: Connection, relation: Relation) -> Table:
    """
    Look a table up.

    Raises:
        SettingError: the role may not read it.
        ContractBroken: it has no unique key, or is of a kind that cannot be read.
    """
    sql = (_SQL / "keys.sql").read_text().format(relation=relation.relation)
    keys = tuple(Key(tuple(r["columns"]), r["is_primary"], r["not_null"]) for r in fetch_sql(connection, sql))
    source = Source(schema_=relation.schema, table=relation.name, key=list(keys[0].columns) if keys else ["-"])
    described = describe_table(connection, source)
    declared = {column.name: detail.type for column, detail in zip(described.columns, described.details, strict=True)}
    sample = tuple(_sample(connection, source, described.rows, described.columns))
    return Table(relation, keys, described.rows, described.columns, declared, sample)


def _sample(
    connection: Connection, source: Source, rows: float, columns: Sequence[Column]
) -> list[dict[str, str | None]]:
    """Read some rows as text; of a large table from blocks all over it."""
    chosen = [quote_identifier(column.name) for column in columns[:MAX_SAMPLED_COLUMNS]]
    texts = ", ".join(f"pg_catalog.left({name}::text, {MAX_CHARACTERS:d}) AS {name}" for name in chosen)
    share = f" TABLESAMPLE SYSTEM ({max(100 * WHOLE_ROWS / rows, 0.001):f})" if rows > WHOLE_ROWS else ""
    table = f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
    try:
        return fetch_sql(connection, f"SELECT {texts} FROM {table}{share} LIMIT {SAMPLE_ROWS:d}")  # noqa: S608
    except adbc_driver_manager.Error as e:
        raise read_error(e, source) from None


@contextmanager
def undone_if_it_fails(connection: Connection) -> Iterator[Any]:
    """Let the transaction go on after a statement of the block failed."""
    execute(connection, "SAVEPOINT one_table")
    try:
        yield
    except BaseException:
        execute(connection, "ROLLBACK TO SAVEPOINT one_table")
        raise
