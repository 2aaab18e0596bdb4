"""
Compare source, Silver and Gold by key and version; apply deletes of the source to both sinks.

Windows see inserts and updates only: what the source lost is found here. A row
is due in both sinks if its version is below `upto`: below what both sinks hold,
and below everything that was still running when the keys were read. So a row
that is due and missing was lost by a sink, and a row below `upto` whose key the
source has not was deleted; rows that come while we work are above.

Safe at any time, twice, and killed anywhere: what was begun and not finished is
finished first, so that both sinks tell the same moment of a delete.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.medallion.bronze import connection as bronze_connection
from include.medallion.bronze import horizon
from include.medallion.bronze import source_keys as bronze_source_keys
from include.medallion.bronze import table as bronze_table
from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError, SourceChanged
from include.medallion.gold import reconcile as gold_reconcile
from include.medallion.gold import sink as gold_sink
from include.medallion.lake.object_store import delete_files, put_json
from include.medallion.model.columns import snowflake_name
from include.medallion.model.differences import Difference, Report, combine
from include.medallion.model.window import Mode, Position, plan_window
from include.medallion.silver import reconcile as silver_reconcile
from include.medallion.staging.layout import WINDOW, batch_folder
from include.medallion.staging.source_keys import SourceKeys, _marker, unfinished_reconciles
from include.medallion.steps.run import silver_position

if TYPE_CHECKING:
    from include.medallion.config.connections import Connections

REPORT = "report.json"


def reconcile(pipeline: Pipeline, connections: Connections) -> Report | None:
    """
    Bring the source's deletes to both sinks, and report how all three compare; None if a sink holds nothing yet.

    Lost rows are looked for twice: a full refresh or another reconcile may have
    changed a sink after the first look at the source.

    Raises:
        SourceChanged: the source is not the one that the sinks were filled from.
        SettingError: another pipeline fills a table of this one's: its rows would look deleted.
    """
    _check_alone(pipeline)
    for keys in unfinished_reconciles(connections.lake, pipeline.name):
        _resume(pipeline, connections, keys)
    first = _compare_once(pipeline, connections)
    if first is None or not first.lost:
        return first
    second = _compare_once(pipeline, connections)
    return second and combine(first, second)


def stage_keys(pipeline: Pipeline, connections: Connections) -> SourceKeys | None:
    """
    Open a reconcile: stage the keys of the source, and say what they may be compared with.

    Raises:
        SourceChanged: the source is not the one that the sinks were filled from.
        SettingError, ContractBroken: as `bronze.describe`.
    """
    held = silver_position(pipeline, connections)
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze_table.describe_table(connection, pipeline.source)
        bronze_table.check_columns(pipeline, table)
        moment = horizon.read_horizon(connection, table)
        positions = [held, gold_sink.read_position(connections.lake, pipeline, moment.source)]
        window = plan_window(pipeline.name, moment, positions, datetime.now(UTC), Mode.RECONCILE)
        window = replace(window, after=0, upto=min(window.upto, *map(_upto, positions)))
        if not window.upto:
            return None
        rows = max(table.rows, gold_reconcile.count_rows(connections.lake, pipeline))
        keys = bronze_source_keys.stage_source_keys(connection, connections.lake, pipeline, table, window, rows)
    put_json(connections.lake, f"{batch_folder(pipeline.name, window.batch_id)}/{WINDOW}", window.to_json())
    put_json(connections.lake, _marker(pipeline.name, window.batch_id), keys.to_json())
    return keys


def compare_silver(pipeline: Pipeline, connections: Connections, keys: SourceKeys) -> Difference:
    """Compare Silver with the staged keys and apply deletes."""
    with closing(connections.silver()) as connection:
        return silver_reconcile.compare(connection, connections.lake, pipeline, keys)


def finish(connections: Connections, keys: SourceKeys, report: Report | None) -> None:
    """Keep the report, if there is one, and take note that nothing is left to do."""
    window = keys.window
    if report:
        put_json(connections.lake, f"{batch_folder(window.pipeline, window.batch_id)}/{REPORT}", report.to_json())
    delete_files(connections.lake, [_marker(window.pipeline, window.batch_id)])


def _check_alone(pipeline: Pipeline) -> None:
    others = [other for other in pipeline_files.valid_pipelines() if other.name != pipeline.name]
    if shared := sorted(other.name for other in others if _tables(other) & _tables(pipeline)):
        raise SettingError(
            f"{pipeline.name} and {', '.join(shared)} fill the same table: whose rows were deleted cannot be told. "
            "Give each pipeline its own silver.table and gold.table"
        )


def _tables(pipeline: Pipeline) -> set[tuple[str, str]]:
    return {(pipeline.silver.connection, snowflake_name(pipeline.silver.table)), ("", pipeline.gold.table)}


def _compare_once(pipeline: Pipeline, connections: Connections) -> Report | None:
    keys = stage_keys(pipeline, connections)
    if keys is None:
        return None
    found = compare_silver(pipeline, connections, keys), gold_reconcile.compare(connections.lake, pipeline, keys)
    report = Report(pipeline.name, keys.window.batch_id, keys.rows + keys.set_aside, keys.set_aside, *found)
    finish(connections, keys, report)
    return report


def _resume(pipeline: Pipeline, connections: Connections, keys: SourceKeys) -> None:
    """Apply the deletes that were found then; a source that was exchanged, or keys that are gone, end it too."""
    with suppress(SourceChanged, FileNotFoundError):
        compare_silver(pipeline, connections, keys)
        gold_reconcile.compare(connections.lake, pipeline, keys)
    finish(connections, keys, None)


def _upto(held: Position | None) -> int:
    return held.upto if held else 0
