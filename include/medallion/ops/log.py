"""What follows a run that read the log: a comparison if the table was truncated, then the slot goes on."""

from __future__ import annotations

import logging

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.model import differences
from include.medallion.ops.reconcile import reconcile
from include.medallion.staging.archive import read_window
from include.medallion.steps.log.advance import advance_log, read_of
from include.medallion.steps.summary.row_counts import RunSummary

log = logging.getLogger(__name__)


def finish_log(
    pipeline: Pipeline, connections: Connections, summary: RunSummary | None, approve_deletes: int = False
) -> None:
    """
    Let the slot go on behind a run's batch that all sinks hold.

    TRUNCATE names no keys: a reconcile deletes those that the source no longer has, before the slot goes on.

    Args:
        approve_deletes: as `ops.reconcile.reconcile`.

    Raises:
        TooManyDeletes: the source lost more rows than `max_delete_share` allows; the slot stays until they are approved
            or come back.
        SettingError, Transient: as `advance_log`.
    """
    if summary is None or pipeline.source.read != "log":
        return
    window = read_window(connections.lake, pipeline.name, summary.batch_id)
    read = read_of(connections.lake, window)
    if read and read.truncated:
        log.info("%s was truncated: comparing its keys with the sinks", pipeline.source.table)
        if report := reconcile(pipeline, connections, approve_deletes=approve_deletes):
            log.info(differences.summary_line(report))
            differences.check_nothing_lost(report)
    advance_log(pipeline, connections, window, compared=True)
