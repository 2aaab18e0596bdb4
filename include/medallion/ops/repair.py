"""
Repair rows that a reconcile found: read them again by key, and write them to every sink as a batch like any other.

The batch is a reload: staged, enriched (cached look-ups are not billed again), applied in one commit of each sink, and
accounted for. Only rows that a newer batch wrote meanwhile stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.selection.partitions import attached_partitions
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.model.window import Mode
from include.medallion.staging.records.selection import write_keys
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run import run_window
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.schema.source import describe_source

_MAX_EXPLAINED = 1_000_000


def repair_rows(pipeline: Pipeline, connections: Connections, keys: pa.Table) -> int:
    """
    Read the source's rows of these keys again and write them to every sink.

    Returns:
        How many rows the source has of them.

    Raises:
        SchemaChanged: the table's schema changed; a run without options comes first.
    """
    window = open_window(pipeline, connections, RunOptions(mode=Mode.RELOAD))
    write_keys(connections.lake, window, keys)
    summary = run_window(pipeline, connections, window)
    return summary.read if summary else 0


def distinct_keys(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the keys of several tables, each once."""
    keys = pa.concat_tables(tables)
    return keys.group_by(keys.column_names).aggregate([]).select(keys.column_names)


def explain_missing(pipeline: Pipeline, connections: Connections, keys: pa.Table) -> str:
    """
    Return why the rows of these keys may be missing: a partition that was attached with rows in it.

    Its rows carry the ids of old transactions, so no window has them.

    Returns:
        Nothing if that is not the reason.
    """
    if keys.num_rows > _MAX_EXPLAINED:
        return ""
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        table = describe_source(connection, pipeline, connections)
        found = attached_partitions(connection, pipeline.source, table, keys)
    names = ", ".join(found)
    return f"all rows of partition {names} are missing, so it was attached with rows in it" if found else ""
