"""
Accept a source that was promoted, restored or re-created, without reading all of it into the sinks again.

Until the sinks' positions name the new source, every run is refused: nothing else writes to the sinks meanwhile. First
rows that the source does not have are removed, also those that were marked as deleted: their versions, which are of the
old source, could fence off the same keys of the new one. Then all values are compared, and one batch brings the rows
that differ in any column or in their version, and moves the positions to the new source. Killed anywhere, it begins
again; a sink that is bound to the new source already has had its deletes.

What was quarantined is of the old source too: the new one gives ids of lost transactions to others, and a row that was
set aside in one of them may be another, good one now. Rows that are bad are quarantined again by the comparison of keys
that follows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from include.medallion.bronze.horizon import read_horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.source_keys import stage_source_keys
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError, SourceChanged
from include.medallion.model.window import Mode, Position
from include.medallion.ops.comparison import apply_deletes
from include.medallion.ops.repair import distinct_keys
from include.medallion.ops.verify import stale_keys
from include.medallion.quarantine.replay import close_older_entries
from include.medallion.staging.archive import read_window
from include.medallion.staging.records.selection import write_keys
from include.medallion.staging.records.source_keys import SourceKeys, record_keys
from include.medallion.staging.sink import Readable, Sink
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run import run_window
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.schema.source import describe_locked_source, describe_source
from include.medallion.steps.sinks import open_sinks

_EVERY_VERSION = 1 << 62
"""Above every transaction id: the sinks' versions are of another source and say nothing."""


def accept_source(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], *, approve_deletes: int
) -> int | None:
    """
    Bring the sinks to a source that they were not filled from.

    Returns:
        How many rows were read again; None if the source is the one that the sinks were filled from.

    Raises:
        TooManyDeletes: too large a share of a sink would be deleted; no sink is changed.
        SourceChanged: the sinks cannot be compared with the source; a full refresh is needed.
    """
    staged = _stage_keys(pipeline, connections, sinks)
    if staged is None:
        return None
    keys, older = staged
    hard = pipeline.model_copy(update={"deletes": "hard"})
    others = [sink for sink in open_sinks(hard, connections) if sink.name in older]
    apply_deletes(hard, connections.lake, others, keys, approve_deletes=approve_deletes)
    close_older_entries(connections.lake, keys.window)
    found = [*stale_keys(pipeline, connections, sinks, keys)]
    window = open_window(pipeline, connections, RunOptions(mode=Mode.ACCEPT))
    write_keys(connections.lake, window, distinct_keys(found))
    summary = run_window(pipeline, connections, window)
    return summary.read if summary else 0


def _stage_keys(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink]
) -> tuple[SourceKeys, Collection[str]] | None:
    """Stage the keys of the new source, and name the sinks of the old one to compare with; None if none is of it."""
    lake = connections.lake
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        snapshot = read_horizon(connection, describe_source(connection, pipeline, connections))
        table = describe_locked_source(connection, pipeline, connections)
        positions = {sink.name: sink.position(snapshot.source) for sink in sinks}
        older = {name: position for name, position in positions.items() if position and not position.is_of(snapshot)}
        if not older:
            return None
        if None in positions.values() or not all(isinstance(sink, Readable) for sink in sinks):
            raise _incomparable(pipeline)
        source = _old_source(pipeline, connections, older.values())
        now = open_window(pipeline, connections, RunOptions(mode=Mode.ACCEPT))
        window = replace(now, mode=Mode.RECONCILE)
        expected = max(table.rows, *(sink.row_count() for sink in sinks))
        keys = stage_source_keys(connection, lake, pipeline, table, window, expected, quarantined={})
    record_keys(lake, keys)
    return replace(keys, window=replace(window, source=source, upto=_EVERY_VERSION)), older


def _old_source(pipeline: Pipeline, connections: Connections, positions: Iterable[Position]) -> str:
    """Return the source that sinks at these positions were filled from, by the archive of their newest batches."""
    try:
        found = {read_window(connections.lake, pipeline.name, position.batch_id).source for position in positions}
    except SettingError:
        found = set()
    if len(found) != 1:
        raise _incomparable(pipeline)
    return found.pop()


def _incomparable(pipeline: Pipeline) -> SourceChanged:
    return SourceChanged(
        f"the sinks of {pipeline.name} cannot be compared with the source, because they hold nothing, batches of "
        f"different sources, or batches that are not staged any more: trigger medallion_{pipeline.name} with "
        "full_refresh"
    )
