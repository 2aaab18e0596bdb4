"""
One comparison of source and sinks: stage the source's keys, compare every sink with them, apply the deletes.

All sinks are compared before any is changed. Deletes that were begun are recorded, so that the next reconcile finishes
one that was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from include.medallion.bronze.horizon import read_horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.source_keys import stage_source_keys
from include.medallion.bronze.table import SourceTable, check_columns
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SourceChanged
from include.medallion.lake.object_store import Lake
from include.medallion.model.differences import Difference, Report, check_delete_share
from include.medallion.model.window import Mode, SourceSnapshot, plan_window
from include.medallion.quarantine.table import quarantined_keys
from include.medallion.staging.layout import batch_folder
from include.medallion.staging.records.documents import write_document
from include.medallion.staging.records.source_keys import (
    SourceKeys,
    begin_deletes,
    finish_reconcile,
    record_keys,
)
from include.medallion.staging.records.used_ids import newest_id, record_id
from include.medallion.staging.sink import Comparison, Repairable, Sink
from include.medallion.steps.schema.records import check_comparable
from include.medallion.steps.schema.source import describe_locked_source, describe_source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What one comparison found: the report, the keys of the rows to be repaired, and all keys of the source."""

    report: Report
    keys: SourceKeys
    faulty: Sequence[pa.Table]


def stage_keys(pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink]) -> SourceKeys | None:
    """
    Begin a reconcile: stage the keys of the source, and record what they may be compared with.

    Returns:
        None if a sink holds nothing yet.

    Raises:
        SourceChanged: the source is not the one that the sinks were filled from.
        SchemaChanged: as `steps.schemas.check_comparable`.
        SettingError, ContractBroken: as `bronze.table.describe_table`.
    """
    lake = connections.lake
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        snapshot = read_horizon(connection, describe_source(connection, pipeline, connections))
        table = describe_locked_source(connection, pipeline, connections)
        check_columns(pipeline, table)
        _check_same_table(pipeline, snapshot, table)
        positions = [sink.position(snapshot.source) for sink in sinks]
        held = {sink.name: position for sink, position in zip(sinks, positions, strict=True)}
        check_comparable(lake, pipeline, table, held)
        newest = newest_id(lake, pipeline.name)
        window = plan_window(pipeline.name, snapshot, positions, datetime.now(UTC), Mode.RECONCILE, newest_id=newest)
        record_id(lake, pipeline.name, window.batch_id)
        window = replace(window, after=0, upto=min(window.upto, *(p.upto if p else 0 for p in positions)))
        if not window.upto:
            return None
        expected = max(table.rows, *(sink.row_count() for sink in sinks))
        quarantined = quarantined_keys(lake, pipeline.name)
        keys = stage_source_keys(connection, lake, pipeline, table, window, expected, quarantined)
    record_keys(lake, keys)
    return keys


def _check_same_table(pipeline: Pipeline, snapshot: SourceSnapshot, table: SourceTable) -> None:
    if table.identity != snapshot.source:
        raise SourceChanged(f"the source table of {pipeline.name} was re-created while it was opened: trigger again")


def compare_once(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], approve_deletes: int
) -> Found | None:
    """Compare source and sinks as they are now, and apply the deletes; None if a sink holds nothing yet."""
    keys = stage_keys(pipeline, connections, sinks)
    if keys is None:
        return None
    found, faulty = apply_deletes(pipeline, connections.lake, sinks, keys, approve_deletes=approve_deletes)
    rows = keys.rows + keys.quarantined
    report = Report(pipeline.name, keys.window.batch_id, rows, keys.quarantined, found, waiting=keys.waiting)
    write_report(connections.lake, report)
    return Found(report, keys, faulty)


def write_report(lake: Lake, report: Report) -> None:
    """Write what a reconcile found and did beside its keys."""
    write_document(lake, f"{batch_folder(report.pipeline, report.batch_id)}/report.json", report)


def apply_deletes(
    pipeline: Pipeline, lake: Lake, sinks: Sequence[Sink], keys: SourceKeys, *, approve_deletes: int = False
) -> tuple[dict[str, Difference], list[pa.Table]]:
    """
    Compare every sink with the staged keys; then apply the source's deletes to each of them.

    Args:
        approve_deletes: as `ops.reconcile.reconcile`.

    Returns:
        What was found in each sink, and the keys of the rows to be repaired.

    Raises:
        TooManyDeletes: too large a share of a sink would be deleted; no sink is changed.
    """
    with ExitStack() as stack:
        comparisons = {sink.name: stack.enter_context(sink.compare(keys)) for sink in sinks}
        found = {name: comparison.difference for name, comparison in comparisons.items()}
        if approve_deletes is not True:
            allowed = max(pipeline.min_deletes, approve_deletes)
            check_delete_share(pipeline.name, found, pipeline.max_delete_share, allowed)
        faulty = [_faulty_keys(pipeline, each) for name, each in comparisons.items() if found[name].faults]
        begin_deletes(lake, keys)
        done = {name: found[name].with_deletes(comparison.delete()) for name, comparison in comparisons.items()}
    finish_reconcile(lake, keys)
    return done, [some for some in faulty if some is not None]


def _faulty_keys(pipeline: Pipeline, comparison: Comparison) -> pa.Table | None:
    """Return the keys that are to be repaired, if the sink can name them; one more than may be repaired at most."""
    if not isinstance(comparison, Repairable):
        return None
    return comparison.faulty_keys(repeated=pipeline.repair != "missing", limit=pipeline.max_reload_rows + 1)


def finish_deletes(lake: Lake, sinks: Sequence[Sink], keys: SourceKeys) -> None:
    """Apply the deletes that were approved then. Where that is impossible, the reconcile that follows finds them."""
    try:
        for sink in sinks:
            with sink.compare(keys) as comparison:
                comparison.delete()
    except (SourceChanged, ContractBroken) as e:  # the source was replaced, or the staged keys are gone or damaged
        log.warning("reconcile %d of %s is dropped: %s", keys.window.batch_id, keys.window.pipeline, e)
    finish_reconcile(lake, keys)
