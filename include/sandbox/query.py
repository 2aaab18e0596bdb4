"""A look into one layer by SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from include.medallion.config import files as pipeline_files
from include.sandbox.errors import SandboxError
from include.sandbox.settings import Servers

Result = tuple[list[str], list[tuple]]


def bronze(servers: Servers, _: str, statement: str) -> Result:
    """Ask Postgres."""
    import psycopg

    with psycopg.connect(servers.bronze.dsn("bronze")) as connection:
        return _fetched(connection.execute(statement))


def silver(servers: Servers, _: str, statement: str) -> Result:
    """Ask the Snowflake stand-in."""
    with servers.silver.connect() as connection:
        return _fetched(connection.cursor().execute(statement))


def gold(_: Servers, root: str, statement: str) -> Result:
    """Ask the Delta tables, each under its name in the lake."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder

    builder = QueryBuilder()
    for name in (
        "locations",
        "quarantine",
        *(pipeline_files.load_file(file).gold.table for file in pipeline_files.pipeline_files()),
    ):
        if DeltaTable.is_deltatable(f"{root}/{name}"):
            builder = builder.register(name, DeltaTable(f"{root}/{name}"))
    table = pa.table(builder.execute(statement))
    return table.column_names, [tuple(row.values()) for row in table.to_pylist()]


LAYERS: dict[str, Callable[[Servers, str, str], Result]] = {"bronze": bronze, "silver": silver, "gold": gold}


def ask(layer: str, servers: Servers, root: str, statement: str) -> Iterator[str]:
    """Yield a layer's answer as aligned lines, the columns' names first."""
    if layer not in LAYERS:
        raise SandboxError(f"no layer {layer!r}: there are {', '.join(LAYERS)}")
    names, rows = LAYERS[layer](servers, root, statement)
    yield from aligned([names, *([str(value) for value in row] for row in rows)])


def aligned(lines: list[list[str]]) -> Iterator[str]:
    """Yield lines whose columns stand below one another."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip()


def _fetched(cursor: Any) -> Result:
    if cursor.description is None:
        return ["done"], []
    return [column[0] for column in cursor.description], cursor.fetchall()
