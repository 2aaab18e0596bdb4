"""DDL of the workload: columns come, go and change their names and types; rows are replaced as a whole."""

from __future__ import annotations

import random

import psycopg

COLUMNS = """SELECT attname FROM pg_attribute WHERE attrelid = 'chaos'::regclass AND attname LIKE 'x%' AND attnum > 0
             AND NOT attisdropped"""
SETUP = "CREATE TYPE chaos_mood AS ENUM ('sad', 'happy')"
TYPES = {
    "int": "n % 1000",
    "bigint": "n * 3000000000",
    "numeric(14, 4)": "n / 16.0",
    "text": "'text ' || n",
    "timestamp": "timestamp '2024-02-29 12:00:00.5' + n * interval '1 second'",
    "chaos_mood": "(enum_range(NULL::chaos_mood))[1 + mod(n, 2)]",
}
"""Types of columns, each with an expression for its values."""
MOST = 4  # columns at a time


def change(connection: psycopg.Connection) -> None:
    """Make one change of the table, and write some rows in the same transaction."""
    there = [row[0] for row in connection.execute(COLUMNS)]
    verbs = [rename, drop, retype, recreate, rename_label] if there else []
    verb = random.choice([*verbs, *[add, add_with_default] * (len(there) < MOST)])
    verb(connection, random.choice(there) if there else "")
    for (name,) in connection.execute(COLUMNS).fetchall():
        set_values(connection, name)


def replace_rows(connection: psycopg.Connection) -> None:
    """Empty the table and load it again, as nightly jobs do."""
    connection.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM chaos")
    connection.execute("TRUNCATE chaos")
    connection.execute("INSERT INTO chaos SELECT * FROM kept")


def add(connection: psycopg.Connection, _: str) -> None:
    """Add a column without values."""
    connection.execute(f"ALTER TABLE chaos ADD COLUMN {free(connection)} {random.choice([*TYPES])}")


def add_with_default(connection: psycopg.Connection, _: str) -> None:
    """Add a column that all rows have a value in, without writing them."""
    connection.execute(f"ALTER TABLE chaos ADD COLUMN {free(connection)} text NOT NULL DEFAULT 'from the start'")


def rename(connection: psycopg.Connection, name: str) -> None:
    """Give a column another name."""
    connection.execute(f"ALTER TABLE chaos RENAME {name} TO {free(connection)}")


def drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a column."""
    connection.execute(f"ALTER TABLE chaos DROP {name}")


def recreate(connection: psycopg.Connection, name: str) -> None:
    """Drop a column and add another one of the same name."""
    drop(connection, name)
    connection.execute(f"ALTER TABLE chaos ADD COLUMN {name} {random.choice([*TYPES])}")


def retype(connection: psycopg.Connection, name: str) -> None:
    """Give a column another type, and all rows another value."""
    type_, value = random.choice([*TYPES.items()])
    connection.execute(f"ALTER TABLE chaos ALTER {name} DROP DEFAULT, ALTER {name} DROP NOT NULL")
    connection.execute(f"ALTER TABLE chaos ALTER {name} TYPE {type_} USING {value}")


def rename_label(connection: psycopg.Connection, _: str) -> None:
    """Give a label of the enum another text, without writing a row."""
    label = connection.execute("SELECT (enum_range(NULL::chaos_mood))[1]::text").fetchone()[0]
    connection.execute(f"ALTER TYPE chaos_mood RENAME VALUE '{label}' TO 'mood {random.randrange(1 << 30)}'")


def free(connection: psycopg.Connection) -> str:
    """Choose a name that no column has; columns that were dropped may have had it."""
    there = {row[0] for row in connection.execute(COLUMNS)}
    return random.choice([name for name in (f"x{n}" for n in range(2 * MOST)) if name not in there])


def set_values(connection: psycopg.Connection, name: str) -> None:
    """Give a column values in some rows."""
    query = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s"
    declared = connection.execute(query, ["chaos", name]).fetchone()[0]
    known = {"integer": "int", "numeric(14,4)": "numeric(14, 4)", "timestamp without time zone": "timestamp"}
    value = TYPES[known.get(declared, declared)]
    connection.execute(f"UPDATE chaos SET {name} = {value} WHERE mod(id, 97) = {random.randrange(97)}")
