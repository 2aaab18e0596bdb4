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

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyarrow import fs

from include.medallion import (
    bronze,
    bronze_connection,
    bronze_horizon,
    gold,
    gold_reconcile,
    reconcile_keys,
    silver_reconcile,
)
from include.medallion import pipeline as pipelines
from include.medallion.errors import SettingError, SourceChanged
from include.medallion.extract import WINDOW
from include.medallion.lake import Lake, delete, filesystem, put_json, read_json
from include.medallion.pipeline import Pipeline
from include.medallion.reconcile_keys import Keys
from include.medallion.reconcile_report import Difference, Report, added
from include.medallion.run import silver_position
from include.medallion.schema import snowflake_name
from include.medallion.staging import batch_folder
from include.medallion.window import Mode, Position, open_window

if TYPE_CHECKING:
    from include.medallion.run import Connections

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
    for keys in unfinished(connections.lake, pipeline.name):
        _finish(pipeline, connections, keys)
    first = _look(pipeline, connections)
    if first is None or not first.lost:
        return first
    second = _look(pipeline, connections)
    return second and added(first, second)


def begin(pipeline: Pipeline, connections: Connections) -> Keys | None:
    """
    Open a reconcile: stage the keys of the source, and say what they may be compared with.

    Raises:
        SourceChanged: the source is not the one that the sinks were filled from.
        SettingError, ContractBroken: as `bronze.describe`.
    """
    held = silver_position(pipeline, connections)
    with bronze_connection.connect(connections.bronze) as connection:
        table = bronze.describe(connection, pipeline.source)
        bronze.check_columns(pipeline, table)
        moment = bronze_horizon.moment(connection, table)
        positions = [held, gold.held(connections.lake, pipeline, moment.source)]
        window = open_window(pipeline.name, moment, positions, datetime.now(UTC), Mode.RECONCILE)
        window = replace(window, after=0, upto=min(window.upto, *map(_reach, positions)))
        if not window.upto:
            return None
        rows = max(table.rows, gold_reconcile.rows(connections.lake, pipeline))
        keys = reconcile_keys.stage(connection, connections.lake, pipeline, table, window, rows)
    put_json(connections.lake, f"{batch_folder(pipeline.name, window.batch_id)}/{WINDOW}", window.to_json())
    put_json(connections.lake, _note(pipeline.name, window.batch_id), keys.to_json())
    return keys


def compare_silver(pipeline: Pipeline, connections: Connections, keys: Keys) -> Difference:
    """Compare Silver with the staged keys and apply deletes."""
    with closing(connections.silver()) as connection:
        return silver_reconcile.compare(connection, connections.lake, pipeline, keys)


def finish(connections: Connections, keys: Keys, report: Report | None) -> None:
    """Keep the report, if there is one, and take note that nothing is left to do."""
    window = keys.window
    if report:
        put_json(connections.lake, f"{batch_folder(window.pipeline, window.batch_id)}/{REPORT}", report.to_json())
    delete(connections.lake, [_note(window.pipeline, window.batch_id)])


def unfinished(lake: Lake, pipeline: str) -> Iterator[Keys]:
    """Yield what was begun and never finished, oldest first."""
    folder = fs.FileSelector(lake.path(_notes(pipeline)), allow_not_found=True)
    names = (info.base_name for info in filesystem(lake).get_file_info(folder) if info.type is fs.FileType.File)
    for name in sorted(names):
        with suppress(FileNotFoundError):  # finished meanwhile by another
            yield Keys.from_json(read_json(lake, f"{_notes(pipeline)}/{name}"))


def _check_alone(pipeline: Pipeline) -> None:
    others = [other for other in pipelines.readable() if other.name != pipeline.name]
    if shared := sorted(other.name for other in others if _tables(other) & _tables(pipeline)):
        raise SettingError(
            f"{pipeline.name} and {', '.join(shared)} fill the same table: whose rows were deleted cannot be told. "
            "Give each pipeline its own silver.table and gold.table"
        )


def _tables(pipeline: Pipeline) -> set[tuple[str, str]]:
    return {(pipeline.silver.connection, snowflake_name(pipeline.silver.table)), ("", pipeline.gold.table)}


def _look(pipeline: Pipeline, connections: Connections) -> Report | None:
    keys = begin(pipeline, connections)
    if keys is None:
        return None
    found = compare_silver(pipeline, connections, keys), gold_reconcile.compare(connections.lake, pipeline, keys)
    report = Report(pipeline.name, keys.window.batch_id, keys.rows + keys.set_aside, keys.set_aside, *found)
    finish(connections, keys, report)
    return report


def _finish(pipeline: Pipeline, connections: Connections, keys: Keys) -> None:
    """Apply the deletes that were found then; a source that was exchanged, or keys that are gone, end it too."""
    with suppress(SourceChanged, FileNotFoundError):
        compare_silver(pipeline, connections, keys)
        gold_reconcile.compare(connections.lake, pipeline, keys)
    finish(connections, keys, None)


def _reach(held: Position | None) -> int:
    return held.upto if held else 0


def _notes(pipeline: str) -> str:
    return f"_staging/{pipeline}/_reconciling"


def _note(pipeline: str, batch_id: int) -> str:
    return f"{_notes(pipeline)}/{batch_id}.json"
