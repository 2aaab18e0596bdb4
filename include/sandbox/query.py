"""A look into one layer of a pipeline by SQL, through the pipeline's own connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from include.medallion.config import connections as connection_settings
from include.medallion.config import files as pipeline_files
from include.medallion.config.connection_info import ConnectionInfo, libpq_uri
from include.medallion.config.pipeline import Pipeline
from include.sandbox.errors import SandboxError
from include.sandbox.json_lines import json_lines

Result = tuple[list[str], list[tuple]]
Environ = Mapping[str, str]


def ask(layer: str, pipeline: Pipeline, environ: Environ, statement: str) -> Result:
    """
    Return a layer's answer: the names of its columns and its rows.

    Args:
        layer: `bronze`, `silver` or `gold`.
        pipeline: whose connections are used.
        environ: defines the connections and the lake, as Airflow reads it.
        statement: SQL in the layer's own dialect.

    Raises:
        SandboxError: there is no such layer, or it rejected the statement.
        SettingError: the connection is not defined in the environment.
    """
    return _layer(layer)(pipeline, environ, statement)


def server(layer: str, pipeline: Pipeline, environ: Environ) -> str:
    """Return the server that `ask` sends a statement to, without secrets."""
    if _layer(layer) is gold:
        return f"the Delta tables in {environ['AWS_URI']}"
    name = pipeline.source.connection if layer == "bronze" else _silver_connection(pipeline)
    account = connection_settings.read_connection(name, environ)
    host = account.host or account.extra.get("host") or account.extra.get("account")
    return f"connection {name} of pipeline {pipeline.name}, at {host}"


def bronze(pipeline: Pipeline, environ: Environ, statement: str) -> Result:
    """Ask the pipeline's Postgres."""
    import psycopg

    account = connection_settings.read_connection(pipeline.source.connection, environ)
    try:
        with psycopg.connect(libpq_uri(account)) as connection:
            return _fetched(connection.execute(statement))
    except psycopg.Error as e:
        raise SandboxError(f"Postgres: {e}") from None


def silver(pipeline: Pipeline, environ: Environ, statement: str) -> Result:
    """Ask the pipeline's Snowflake."""
    from snowflake.connector.errors import Error

    account: ConnectionInfo = connection_settings.read_connection(_silver_connection(pipeline), environ)
    try:
        with connection_settings.connect_snowflake(account) as connection:
            return _fetched(connection.cursor().execute(statement))
    except Error as e:
        raise SandboxError(f"Snowflake: {e}") from None


def gold(_: Pipeline, environ: Environ, statement: str) -> Result:
    """Ask the Delta tables, each under its name in the lake."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder

    builder, root = QueryBuilder(), environ["AWS_URI"]
    options = {name: value for name, value in environ.items() if name.startswith("AWS_")}
    for name in {"locations", "quarantine", *_gold_tables()}:
        if DeltaTable.is_deltatable(f"{root}/{name}", options):
            builder = builder.register(name, DeltaTable(f"{root}/{name}", storage_options=options))
    try:
        table = pa.table(builder.execute(statement))
    except Exception as e:  # noqa: BLE001 (the query engine has no class of its own for a wrong statement)
        raise SandboxError(f"Delta: {e}") from None
    return table.column_names, list(zip(*(column.to_pylist() for column in table.columns), strict=True))


LAYERS: dict[str, Callable[[Pipeline, Environ, str], Result]] = {"bronze": bronze, "silver": silver, "gold": gold}


def text_lines(result: Result) -> Iterator[str]:
    """Yield an answer as aligned lines, the names of the columns first."""
    names, rows = result
    yield from aligned([names, *([str(value) for value in row] for row in rows)])


FORMATS: dict[str, Callable[[Result], Iterator[str]]] = {"text": text_lines, "json": json_lines}


def formatter(name: str) -> Callable[[Result], Iterator[str]]:
    """
    Return the function that makes the lines of an answer.

    Raises:
        SandboxError: there is no such format.
    """
    if name not in FORMATS:
        raise SandboxError(f"FORMAT={name}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name]


def aligned(lines: list[list[str]]) -> Iterator[str]:
    """Yield lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip()


def _layer(name: str) -> Callable[[Pipeline, Environ, str], Result]:
    if name not in LAYERS:
        raise SandboxError(f"LAYER={name}: choose one of {', '.join(LAYERS)}")
    return LAYERS[name]


def _silver_connection(pipeline: Pipeline) -> str:
    if pipeline.silver is None:
        raise SandboxError(f"pipeline {pipeline.name} has no Silver table")
    return pipeline.silver.connection


def _gold_tables() -> list[str]:
    return [pipeline.gold.table for pipeline in pipeline_files.valid_pipelines() if pipeline.gold]


def _fetched(cursor: Any) -> Result:
    if cursor.description is None:
        return ["done"], []
    return [column[0] for column in cursor.description], cursor.fetchall()
