"""
The table of the benchmarks: `employees` as in the sandbox, made inside Postgres, and what happens to it.

`updated_at` is there for contenders that find changes by a cursor: indexed, and different in every row. Everybody
carries the column.
"""

from __future__ import annotations

import psycopg
import zipcodes
from psycopg import sql

from benchmarks.harness.servers import Servers
from include.sandbox.rows import DDL, _names

WORDS = 64
ZIPS = "CREATE TABLE zips AS SELECT n - 1 AS n, code FROM unnest({codes}::text[]) WITH ORDINALITY AS z (code, n)"
INSERT = """
INSERT INTO employees
SELECT
    i, firsts[1 + i % {words}], lasts[1 + i / {words} % {words}], 1 + i % 119, 1 + i % 16, 1 + i % 3,
    (1 + i % 9973) || ' ' || lasts[1 + i / 7 % {words}] || ' Street',
    CASE WHEN i % 100 <> 0 THEN z.code END,
    1 + i % 4999, lower(firsts[1 + i % {words}] || '.' || lasts[1 + i / {words} % {words}]) || i || '@example.com',
    date '2000-01-01' + i % 9000, moment + i * interval '1 microsecond'
FROM generate_series({first}, {last}) AS i
CROSS JOIN (SELECT {firsts}::text[] AS firsts, {lasts}::text[] AS lasts, clock_timestamp() AS moment) AS given
JOIN zips AS z ON z.n = (hashint4(i)::int8 & 2147483647) % {codes}
ORDER BY i
"""
RANDOM = """
UPDATE employees SET email = 'r' || email, updated_at = clock_timestamp()
WHERE id IN (SELECT 1 + floor(random() * {rows})::int FROM generate_series(1, {count}))
"""
DELETE = """
DELETE FROM employees WHERE id IN (SELECT 1 + floor(random() * {rows})::int FROM generate_series(1, {count}))
"""
RECENT = """
UPDATE employees SET email = 'n' || email, updated_at = clock_timestamp()
WHERE id > (SELECT max(id) FROM employees) - {count}
"""


def fill(servers: Servers, rows: int) -> None:
    """Create the table again with so many rows; their postcodes are real."""
    codes = sorted(row["zip_code"] for row in zipcodes.list_all())
    with psycopg.connect(servers.bronze.dsn(servers.database), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS employees, zips")
        connection.execute(DDL)
        connection.execute("ALTER TABLE employees ADD updated_at timestamptz NOT NULL")
        connection.execute(sql.SQL(ZIPS).format(codes=codes))
        connection.execute("ANALYZE zips")
        _add(connection, 1, rows)
        connection.execute("CREATE INDEX ON employees (updated_at)")
        connection.execute("VACUUM (ANALYZE) employees")


def publish(servers: Servers) -> None:
    """Create the publication that `read: log` needs."""
    _run(servers, "CREATE PUBLICATION medallion_employees FOR TABLE employees")


def row_bytes(servers: Servers) -> int:
    """Return how many bytes a row has on average, as Postgres keeps it."""
    query = "SELECT avg(pg_column_size(e.*))::int FROM (SELECT * FROM employees LIMIT 10000) AS e"
    with psycopg.connect(servers.bronze.dsn(servers.database)) as connection:
        return connection.execute(query).fetchone()[0]


def insert(servers: Servers, count: int) -> None:
    """Add new rows, with the next ids."""
    with psycopg.connect(servers.bronze.dsn(servers.database), autocommit=True) as connection:
        last = connection.execute("SELECT max(id) FROM employees").fetchone()[0]
        _add(connection, last + 1, last + count)


def update_recent(servers: Servers, count: int) -> None:
    """Change the newest rows."""
    _run(servers, RECENT, count=count)


def update_random(servers: Servers, count: int) -> None:
    """Change rows all over the table (some fewer than `count`: a row that is drawn twice counts once)."""
    with psycopg.connect(servers.bronze.dsn(servers.database)) as connection:
        rows = connection.execute("SELECT count(*) FROM employees").fetchone()[0]
    _run(servers, RANDOM, count=count, rows=rows)


def delete_random(servers: Servers, count: int) -> None:
    """Delete rows anywhere in the table."""
    with psycopg.connect(servers.bronze.dsn(servers.database)) as connection:
        rows = connection.execute("SELECT max(id) FROM employees").fetchone()[0]
    _run(servers, DELETE, rows=rows, count=count)


def nothing(servers: Servers, count: int) -> None:  # noqa: ARG001 (a change like the others)
    """Let the horizon move without a change, as anything else that writes to the server does."""
    _run(servers, "SELECT pg_current_xact_id()")


def _run(servers: Servers, statement: str, **values: int) -> None:
    with psycopg.connect(servers.bronze.dsn(servers.database), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(**values))


def _add(connection: psycopg.Connection, first: int, last: int) -> None:
    codes = connection.execute("SELECT count(*) FROM zips").fetchone()[0]
    firsts, lasts = (list(names[:WORDS]) for names in _names())
    words = {"words": WORDS, "first": first, "last": last, "codes": codes, "firsts": firsts, "lasts": lasts}
    connection.execute(sql.SQL(INSERT).format(**words))
