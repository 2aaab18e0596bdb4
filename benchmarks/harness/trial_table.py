"""A small table with values and changes that a copy may get wrong, and what became of them in a Delta table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from benchmarks.harness.servers import Servers

_NUMBER = re.compile(r"-?\d{1,60}(\.\d{1,60})?([eE]-?\d{1,3})?")
ROWS = 8
Rows = dict[int, dict]


@dataclass(frozen=True)
class Check:
    """
    A table of eight rows, a change of it, and what is compared afterwards.

    Args:
        column: name of the column that matters besides `id` and `updated_at`, which contenders use as a cursor.
        type: its SQL type.
        value: SQL of its value in row `i`.
        change: SQL with `{table}`, executed after a first load; empty for none.
        ids: whether the ids of the rows are compared, and not the column.
    """

    name: str
    column: str
    type: str
    value: str
    change: str = ""
    ids: bool = False

    def seen(self, rows: Rows) -> object:
        """Return what is compared of the rows of one side."""
        return sorted(rows) if self.ids else {key: _plain(row.get(self.column)) for key, row in rows.items()}


_BIG = "(SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 3200) AS n)"
_TOUCHED = "updated_at = clock_timestamp()"
CHECKS = (
    Check("`numeric(30,10)`", "n", "numeric(30, 10)", "12345678901234567890.0123456789 + i"),
    Check("`numeric` without a precision", "n", "numeric", "0.1::numeric ^ 30 + i"),
    Check("`jsonb`", "doc", "jsonb", """'{"a": 1.10, "b": [null, "x"]}'"""),
    Check("`timestamptz`", "at", "timestamptz", "timestamptz '2026-01-01 00:00:00.123456+02' + i * interval '1 day'"),
    Check("an updated value", "note", "text", "'first'", f"UPDATE {{table}} SET note = 'new', {_TOUCHED} WHERE id = 1"),
    Check("100 kB of text in an updated row", "big", "text", _BIG, f"UPDATE {{table}} SET {_TOUCHED}"),
    Check("an update that keeps `updated_at`", "note", "text", "'first'", "UPDATE {table} SET note = 'new'"),
    Check("a deleted row", "note", "text", "'first'", "DELETE FROM {table} WHERE id = 3", ids=True),
    Check(
        "an updated key", "note", "text", "'first'", f"UPDATE {{table}} SET id = 40, {_TOUCHED} WHERE id = 4", ids=True
    ),
    Check("a column added with a default", "extra", "", "", "ALTER TABLE {table} ADD extra text NOT NULL DEFAULT 'x'"),
    Check(
        "`TRUNCATE` and a new row",
        "note",
        "text",
        "'first'",
        "TRUNCATE {table}; INSERT INTO {table} VALUES (9)",
        ids=True,
    ),
)


def create(servers: Servers, table: str, check: Check) -> None:
    """Create the table of a check; a publication of it is for contenders that read the log."""
    column = f", {check.column} {check.type}" if check.type else ""
    value = f", {check.value}" if check.type else ""
    execute(
        servers,
        f"CREATE TABLE {table} (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(){column})",
        f"INSERT INTO {table} SELECT i, clock_timestamp(){value} FROM generate_series(1, {ROWS}) AS i",
        f"CREATE PUBLICATION medallion_{table} FOR TABLE {table}",
    )


def drop_slots(servers: Servers) -> None:
    """Drop the replication slots that contenders have created: a server has few."""
    execute(servers, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")


def execute(servers: Servers, *statements: str) -> None:
    """Run statements in the source."""
    with psycopg.connect(servers.bronze.dsn(servers.database), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def source_rows(servers: Servers, table: str) -> Rows:
    """Return the rows of the source by id."""
    with psycopg.connect(servers.uri, row_factory=psycopg.rows.dict_row) as connection:
        return {row["id"]: row for row in connection.execute(f"SELECT * FROM {table}")}


def outcome(check: Check, truth: Rows, table: DeltaTable) -> str:
    """Return how a Delta table compares: `equal`, or what is wrong."""
    found = pa.table(QueryBuilder().register("gold", table).execute("SELECT * FROM gold").read_all()).to_pylist()
    if len({row["id"] for row in found}) < len(found):
        return "doubled rows"
    mine, right = check.seen({row["id"]: row for row in found}), check.seen(truth)
    if mine == right:
        return "equal"
    if check.ids:
        kept, lacks = {*mine} - {*right}, {*right} - {*mine}
        return ", ".join(word for word, some in (("old rows", kept), ("missing rows", lacks)) if some)
    return "other values"


def _plain(value: object) -> object:
    """Return a value as an exact number, a moment in UTC or a parsed document, so that types do not count."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int | float | Decimal):
        return Decimal(str(value))
    if isinstance(value, str) and value[:1] == "{":
        return _plain(json.loads(value, parse_float=Decimal))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
