"""
Compare source and sinks by key and version; apply deletes of the source to every sink.

Windows see inserts and updates only: what the source lost is found here. A row is due in every sink if its version is
below `upto`: below what all sinks hold, and below everything that was still running when the keys were read. So a row
that is due and missing was lost by a sink, and a row below `upto` whose key the source does not have was deleted; rows
that arrive meanwhile are above.

Nothing is deleted on doubt: the table is locked before its keys are read, all sinks are compared before any is changed,
and a large share of deletes has to be approved.

Safe at any time, twice, and killed anywhere: deletes that were begun and not finished are finished first, so that all
sinks show the same time of a delete.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from include.medallion.bronze.horizon import read_horizon
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.bronze.source_keys import stage_source_keys
from include.medallion.bronze.table import SourceTable, check_columns
from include.medallion.config.connections import Connections
from include.medallion.config.files import valid_pipelines
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SettingError, SourceChanged
from include.medallion.lake.object_store import Lake
from include.medallion.model.differences import Difference, Report, check_delete_share, combine
from include.medallion.model.window import Mode, SourceSnapshot, plan_window
from include.medallion.quarantine.table import quarantined_keys
from include.medallion.staging.layout import batch_folder
from include.medallion.staging.records.documents import write_document
from include.medallion.staging.records.source_keys import (
    SourceKeys,
    begin_deletes,
    finish_reconcile,
    record_keys,
    unfinished_reconciles,
)
from include.medallion.staging.records.used_ids import newest_id, record_id
from include.medallion.staging.sink import Sink
from include.medallion.steps.schema.records import check_comparable
from include.medallion.steps.schema.source import describe_locked_source, describe_source
from include.medallion.steps.sinks import open_sinks

log = logging.getLogger(__name__)


def reconcile(pipeline: Pipeline, connections: Connections, *, approve_deletes: bool = False) -> Report | None:
    """
    Apply the source's deletes to every sink and report how they compare; None if a sink holds nothing yet.

    Lost rows are looked for twice: a full refresh or another reconcile may have changed a sink after the keys of the
    source were read.

    Args:
        approve_deletes: delete however large a share of a sink.

    Raises:
        TooManyDeletes: too large a share of a sink would be deleted; no sink is changed.
        SourceChanged: the source is not the one that the sinks were filled from.
        SettingError: another pipeline writes to a table of this one's: its rows would look deleted.
    """
    _check_alone(pipeline)
    sinks = open_sinks(pipeline, connections)
    for keys in unfinished_reconciles(connections.lake, pipeline.name):
        _resume(connections.lake, sinks, keys)
    first = _compare_once(pipeline, connections, sinks, approve_deletes)
    if first is None or not first.lost:
        return first
    second = _compare_once(pipeline, connections, sinks, approve_deletes)
    return second and combine(first, second)


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


def _check_alone(pipeline: Pipeline) -> None:
    others = [other for other in valid_pipelines() if other.name != pipeline.name]
    if shared := sorted(other.name for other in others if other.targets & pipeline.targets):
        raise SettingError(
            f"{pipeline.name} and {', '.join(shared)} write to the same table: whose rows were deleted cannot be "
            "determined. Give each pipeline its own silver.table and gold.table"
        )


def _compare_once(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], approve_deletes: bool
) -> Report | None:
    keys = stage_keys(pipeline, connections, sinks)
    if keys is None:
        return None
    found = apply_deletes(pipeline, connections.lake, sinks, keys, approve_deletes=approve_deletes)
    window = keys.window
    report = Report(pipeline.name, window.batch_id, keys.rows + keys.quarantined, keys.quarantined, found)
    write_document(connections.lake, f"{batch_folder(window.pipeline, window.batch_id)}/report.json", report)
    return report


def apply_deletes(
    pipeline: Pipeline, lake: Lake, sinks: Sequence[Sink], keys: SourceKeys, *, approve_deletes: bool = False
) -> dict[str, Difference]:
    """
    Compare every sink with the staged keys; then apply the source's deletes to each of them.

    Raises:
        TooManyDeletes: too large a share of a sink would be deleted; no sink is changed.
    """
    with ExitStack() as stack:
        comparisons = {sink.name: stack.enter_context(sink.compare(keys)) for sink in sinks}
        found = {name: comparison.difference for name, comparison in comparisons.items()}
        if not approve_deletes:
            check_delete_share(pipeline.name, found, pipeline.max_delete_share, pipeline.min_deletes)
        begin_deletes(lake, keys)
        done = {name: found[name].with_deletes(comparison.delete()) for name, comparison in comparisons.items()}
    finish_reconcile(lake, keys)
    return done


def _resume(lake: Lake, sinks: Sequence[Sink], keys: SourceKeys) -> None:
    """Apply the deletes that were approved then. Where that is impossible, the reconcile that follows finds them."""
    try:
        for sink in sinks:
            with sink.compare(keys) as comparison:
                comparison.delete()
    except (SourceChanged, ContractBroken) as e:  # the source was replaced, or the staged keys are gone or damaged
        log.warning("reconcile %d of %s is dropped: %s", keys.window.batch_id, keys.window.pipeline, e)
    finish_reconcile(lake, keys)
