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
from dataclasses import replace

from include.medallion.config.connections import Connections
from include.medallion.config.files import valid_pipelines
from include.medallion.config.pipeline import Pipeline, Repair
from include.medallion.errors import SettingError
from include.medallion.model.differences import Report, combine, describe_faults, with_values
from include.medallion.ops.accept import accept_source
from include.medallion.ops.comparison import Found, compare_once, finish_deletes, write_report
from include.medallion.ops.repair import distinct_keys, explain_missing, repair_rows
from include.medallion.ops.verify import ALL, SHARE, verify_values
from include.medallion.staging.records.source_keys import unfinished_reconciles
from include.medallion.staging.sink import Readable, Sink
from include.medallion.steps.sinks import open_sinks

log = logging.getLogger(__name__)


def reconcile(
    pipeline: Pipeline,
    connections: Connections,
    *,
    approve_deletes: int = False,
    repair: Repair | None = None,
    values: bool = False,
    accept: bool = False,
) -> Report | None:
    """
    Apply the source's deletes to every sink, compare values, repair rows, and report how they compare.

    Args:
        approve_deletes: delete however large a share of a sink; a number: at most so many rows of it.
        repair: in place of the pipeline's setting.
        values: compare the values of all rows, not only of those that are due today.
        accept: bind the sinks to a source that was promoted, restored or re-created.

    Returns:
        None if a sink holds nothing yet.

    Raises:
        TooManyDeletes: too large a share of a sink would be deleted; no sink is changed.
        SourceChanged, SettingError: another source than the sinks', a table that another pipeline writes to, or sinks
            whose values cannot be read although they are to be compared.
    """
    sinks = _open_finished(pipeline, connections, values=values)
    pipeline = pipeline.model_copy(update={"repair": repair}) if repair else pipeline
    if accept and accept_source(pipeline, connections, sinks, approve_deletes=approve_deletes) is not None:
        pipeline = pipeline.model_copy(update={"repair": "all"})  # rows that are bad were left out
    found = _compare_keys(pipeline, connections, sinks, approve_deletes)
    if found is None:
        return None
    report = _repair(pipeline, connections, sinks, found) if found.report.faults else found.report
    if (values or pipeline.verify_within_days) and _are_readable(pipeline, sinks):
        verified = verify_values(pipeline, connections, sinks, found.keys, ALL if values else SHARE)
        report = with_values(report, verified)
    write_report(connections.lake, report)
    return report


def _check_readable(pipeline: Pipeline, sinks: Sequence[Sink]) -> None:
    if not any(isinstance(sink, Readable) for sink in sinks):
        raise SettingError(
            f"the values of pipeline {pipeline.name} cannot be compared: none of its sinks "
            f"({', '.join(sink.name for sink in sinks)}) has read_rows. Add it to the sink, as staging.sink.Readable "
            "describes it, or reconcile without values"
        )


def _are_readable(pipeline: Pipeline, sinks: Sequence[Sink]) -> bool:
    unreadable = [sink.name for sink in sinks if not isinstance(sink, Readable)]
    if unreadable:
        log.warning("%s: values in %s are not compared: a sink needs `read_rows` for it", pipeline.name, unreadable)
    return len(unreadable) < len(sinks)


def _open_finished(pipeline: Pipeline, connections: Connections, *, values: bool) -> list[Sink]:
    """Open the sinks, and apply the deletes of reconciles that were killed."""
    _check_alone(pipeline)
    sinks = open_sinks(pipeline, connections)
    if values:
        _check_readable(pipeline, sinks)
    for keys in unfinished_reconciles(connections.lake, pipeline.name):
        finish_deletes(connections.lake, sinks, keys)
    return sinks


def _compare_keys(
    pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], approve_deletes: int
) -> Found | None:
    """Compare once; if something is wrong, once more: a refresh may have changed a sink after the keys were read."""
    first = compare_once(pipeline, connections, sinks, approve_deletes)
    if first is None or not first.report.faults:
        return first
    second = compare_once(pipeline, connections, sinks, approve_deletes)
    return replace(second, report=combine(first.report, second.report)) if second else None


def _repair(pipeline: Pipeline, connections: Connections, sinks: Sequence[Sink], found: Found) -> Report:
    """Repair the rows that were found, as `repair` says, and compare once more."""
    report = found.report
    keys = distinct_keys(found.faulty) if found.faulty else None
    cause = explain_missing(pipeline, connections, keys) if keys and report.lost else ""
    if not keys or pipeline.repair == "off" or keys.num_rows > pipeline.max_reload_rows:
        return replace(report, cause=cause)
    repaired = repair_rows(pipeline, connections, keys)
    why = f": {cause}" if cause else ""
    log.warning("%s: %s%s; %s rows were read again", pipeline.name, describe_faults(report.sinks), why, f"{repaired:,}")
    last = compare_once(pipeline, connections, sinks, approve_deletes=False)
    left = last.report.sinks if last else report.sinks
    return replace(report, cause=cause, repaired=repaired, left=left)


def _check_alone(pipeline: Pipeline) -> None:
    others = [other for other in valid_pipelines() if other.name != pipeline.name]
    if shared := sorted(other.name for other in others if other.targets & pipeline.targets):
        raise SettingError(
            f"{pipeline.name} and {', '.join(shared)} write to the same table: whose rows were deleted cannot be "
            "determined. Give each pipeline its own silver.table and gold.table"
        )
