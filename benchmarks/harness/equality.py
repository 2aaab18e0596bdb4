"""Whether a contender's Gold is right: the same rows as in the source, and the same coordinates as the others'."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from deltalake import DeltaTable

from benchmarks.harness.servers import Servers

ADDED = ("id", "latitude", "longitude", "geocode_status")
Digest = tuple[int, str]
"""Number of rows, and a sum over their hashes that no order changes."""


def of_source(servers: Servers) -> tuple[list[str], Digest]:
    """Return the table's columns and the digest of its rows."""
    with dbapi.connect(servers.uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM employees")
        reader = cursor.fetch_record_batch()
        return reader.schema.names, digest(reader, reader.schema.names)


def of_gold(table: DeltaTable, columns: Sequence[str]) -> Digest:
    """Return the digest of these columns of a Delta table."""
    data = table.to_pyarrow_dataset().scanner(columns=list(columns), batch_size=65_536)
    return digest(data.to_reader(), columns)


def digest(rows: pa.RecordBatchReader, columns: Sequence[str]) -> Digest:
    """Count and hash rows as they pass; equal values of different types (varchar and text, int4 and int8) are equal."""
    texts = ", ".join(_text(rows.schema.field(c)) for c in columns)
    with duckdb.connect() as engine:
        engine.register("rows", rows)
        found = engine.execute(f"SELECT count(*), sum(hash({texts})::hugeint)::varchar FROM rows").fetchone()
        return found[0], found[1]


def _text(field: pa.Field) -> str:
    quoted = f'"{field.name}"'
    return f"epoch_us({quoted})" if pa.types.is_timestamp(field.type) else f"{quoted}::varchar"
