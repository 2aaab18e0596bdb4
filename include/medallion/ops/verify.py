"""
Compare the values of the source and of the sinks, one range of keys after the other.

Of each range, memory holds the keys and eight bytes of each value, of the source and of every sink. The sinks are read
after the source, so a row that they have in another version came meanwhile: only rows of equal versions are compared.
Each range is recorded when it is done: a comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

import pyarrow as pa

from include.medallion.bronze.horizon import read_horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.selection.ranges import read_range
from include.medallion.bronze.table import SourceTable
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.registry import open_enrichments
from include.medallion.errors import SettingError
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import Column
from include.medallion.model.compare.ranges import KeyRange, bound_from_text, bound_to_text
from include.medallion.model.compare.rows import (
    HashedRows,
    ValueDifference,
    compare_sinks,
    compare_values,
    find_stale,
    hash_rows,
)
from include.medallion.model.differences import Verified, add_counts
from include.medallion.model.window import Mode, Window, plan_window
from include.medallion.ops.repair import distinct_keys, repair_rows
from include.medallion.quarantine.table import quarantined_keys
from include.medallion.staging.records.key_ranges import divide_keys, key_columns
from include.medallion.staging.records.source_keys import SourceKeys
from include.medallion.staging.records.verification import Progress, forget_progress, read_progress, write_progress
from include.medallion.staging.sink import Readable, Sink
from include.medallion.steps.enrich import place_sources
from include.medallion.steps.schema.records import columns_to_compare
from include.medallion.steps.schema.source import describe_source

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection

log = logging.getLogger(__name__)
SHARE, ALL = "share", "all"
"""Passes over the table: the daily share, and the whole table on demand."""
MAX_CELLS = 8_000_000
"""Values of one range, of the source and of each sink."""


def verify_values(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], keys: SourceKeys, what: str
) -> Verified:
    """
    Compare the values of the next ranges of keys, and repair rows that differ, as `repair` says.

    Args:
        keys: of the source; they say where ranges begin.
        what: `SHARE` for as many rows as are due today, `ALL` for the rest of a pass over the table.
    """
    lake, now = connections.lake, datetime.now(UTC)
    columns = key_columns(lake, keys)
    signature = tuple(f"{column.name} {column.type}" for column in columns)
    progress = read_progress(lake, pipeline.name, what)
    if progress is None or progress.key != signature:
        progress = Progress(now, signature)
    count = max(1, ceil(keys.rows * _width(pipeline, connections) / MAX_CELLS))
    after = bound_from_text(columns, progress.after) if progress.after else None
    ranges, rows_per_range = divide_keys(lake, keys, columns, count, after), ceil(keys.rows / count)
    budget = keys.rows if what == ALL else _rows_due(pipeline, keys.rows, progress.at, now)
    done, start = Verified(progress.rows, progress.different, progress.different), progress.rows
    for chosen in ranges:
        if done.rows > start and done.rows - start + rows_per_range > budget:
            break
        done = _verify_range(pipeline, connections, sinks, chosen, done)
        done = replace(done, finished=chosen.high is None)
        _record(lake, pipeline, what, Progress(now, signature), chosen, done)
    return done


def _record(lake: Lake, pipeline: Pipeline, what: str, begun: Progress, chosen: KeyRange, done: Verified) -> None:
    if done.finished:
        forget_progress(lake, pipeline.name, what)
        write_progress(lake, pipeline.name, SHARE, begun)
        return
    after = bound_to_text(chosen.columns, chosen.high or ())
    write_progress(lake, pipeline.name, what, replace(begun, after=after, rows=done.rows, different=done.left))


def _rows_due(pipeline: Pipeline, rows: int, last: datetime, now: datetime) -> int:
    """Return how many rows to compare, so that all are within `verify_within_days`: as many as the days since."""
    days = max(1.0, (now - last).total_seconds() / 86_400)
    return ceil(rows * min(1.0, days / max(1, pipeline.verify_within_days - 1)))


def _width(pipeline: Pipeline, connections: Connections) -> int:
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        return len(describe_source(connection, pipeline, connections).columns) + len(pipeline.added_columns)


def _verify_range(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], chosen: KeyRange, done: Verified
) -> Verified:
    """Compare a range; if rows differ, repair them and compare it again."""
    rows, found = _compare_range(pipeline, connections, sinks, chosen)
    tables = [each.keys for each in found.values() if each.keys.num_rows]
    repaired, left = 0, found
    if tables and pipeline.repair == "all":
        repaired = repair_rows(pipeline, connections, distinct_keys(tables).slice(0, pipeline.max_reload_rows))
        _, left = _compare_range(pipeline, connections, sinks, chosen)
        log.warning("%s: %s rows with other values were read again", pipeline.name, repaired)
    return Verified(
        rows=done.rows + rows,
        different=add_counts(done.different, {name: each.columns for name, each in found.items()}),
        left=add_counts(done.left, {name: each.columns for name, each in left.items()}),
        repaired=done.repaired + repaired,
    )


def _compare_range(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], chosen: KeyRange
) -> tuple[int, dict[str, ValueDifference]]:
    """Return how many rows the source has in a range, and how each sink differs in it."""
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        table = describe_source(connection, pipeline, connections)
        snapshot = read_horizon(connection, table)
        held = {sink.name: sink.position(snapshot.source) for sink in sinks}
        window = plan_window(pipeline.name, snapshot, [*held.values()], datetime.now(UTC), Mode.RECONCILE)
        upto = min(window.upto, *(position.upto if position else 0 for position in held.values()))
        compared = columns_to_compare(connections.lake, pipeline, table, held)
        source = _read_source(pipeline, connections, connection, table, window, chosen, compared)
    key = [column.name for column in chosen.columns]
    added = _added_columns(pipeline, connections, table.columns)
    names = [column.name for column in compared if column.name not in key]
    hashed = _read_sinks(sinks, chosen, [*compared, *added])
    found = {name: compare_values(source, rows, names, upto) for name, rows in hashed.items()}
    return len(source.versions), _with_added(found, hashed, [column.name for column in added])


def stale_keys(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], keys: SourceKeys
) -> Iterator[pa.Table]:
    """
    Yield, range by range, the keys of the source's rows that a sink lacks or has in any other version or value.

    For sinks of another source, which nothing else writes to meanwhile.
    """
    columns = key_columns(connections.lake, keys)
    count = max(1, ceil(keys.rows * _width(pipeline, connections) / MAX_CELLS))
    for chosen in divide_keys(connections.lake, keys, columns, count):
        with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
            table = describe_source(connection, pipeline, connections)
            snapshot = read_horizon(connection, table)
            window = Window(pipeline.name, snapshot.source, 0, snapshot.xmin, 0, Mode.RECONCILE)
            source = _read_source(pipeline, connections, connection, table, window, chosen, table.columns)
        names = [column.name for column in table.columns]
        for rows in _read_sinks(sinks, chosen, table.columns).values():
            yield find_stale(source, rows, names)


def _read_source(
    pipeline: Pipeline,
    connections: Connections,
    connection: AdbcConnection,
    table: SourceTable,
    window: Window,
    chosen: KeyRange,
    columns: Sequence[Column],
) -> HashedRows:
    key = [column.name for column in chosen.columns]
    by_name = {column.name: column for column in columns}
    chosen = replace(chosen, columns=tuple(by_name.get(c.name, c) for c in chosen.columns))
    aside = quarantined_keys(connections.lake, pipeline.name)
    with closing(read_range(connection, pipeline.source, table, columns, window, chosen, aside)) as rows:
        return hash_rows(rows, key, columns)


def _read_sinks(sinks: Sequence[Sink], chosen: KeyRange, columns: Sequence[Column]) -> dict[str, HashedRows]:
    key = [column.name for column in chosen.columns]
    return {s.name: hash_rows(s.read_rows(columns, chosen), key, columns) for s in sinks if isinstance(s, Readable)}


def _with_added(
    found: dict[str, ValueDifference], hashed: dict[str, HashedRows], added: list[str]
) -> dict[str, ValueDifference]:
    """Compare the columns that enrichments added: of each sink with the first."""
    (first, reference), *others = hashed.items()
    for name, rows in others if added else ():
        more = compare_sinks(reference, rows, added)
        columns = {f"{column} (unlike {first})": count for column, count in more.columns.items()}
        keys = pa.concat_tables([found[name].keys, more.keys])
        found[name] = ValueDifference({**found[name].columns, **columns}, keys)
    return found


def _added_columns(pipeline: Pipeline, connections: Connections, columns: tuple[Column, ...]) -> list[Column]:
    try:
        enrichments = open_enrichments(pipeline, columns, connections.environ, place_sources(pipeline, connections))
    except SettingError as e:  # such as a key that only the pipeline's own runs have
        log.warning("%s: columns of enrichments are not compared: %s", pipeline.name, e)
        return []
    return [column for enrichment in enrichments for column in enrichment.columns]
