"""Record runs and reconciles. A record that cannot be written is logged; it never fails the run that it is about."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime

from include.medallion.lake.object_store import Lake
from include.medallion.model.batch_id import time_of
from include.medallion.model.columns import BATCH_ID
from include.medallion.model.differences import Report
from include.medallion.model.window import Mode
from include.medallion.runs.table import append
from include.medallion.steps.summary.row_counts import RunSummary

log = logging.getLogger(__name__)


def record_run(lake: Lake, summary: RunSummary, run_id: str = "") -> None:
    """Record a run that ends now; `run_id` is Airflow's, empty for a run from a shell."""
    lookups = summary.lookups
    counts: dict[str, object] = {
        "read": summary.read,
        "quarantined": summary.quarantined,
        "unchanged": summary.unchanged,
        "lag": summary.lag_transactions,
        "after": summary.after,
        "upto": summary.upto,
        "log_position": summary.log_position,
        "keys": lookups.keys,
        "cached": lookups.cached,
        "calls": lookups.calls,
        "spend_usd": lookups.cost_usd,
        "resolved": lookups.statuses.get("OK", 0),
        "unresolved": lookups.unresolved,
        "sinks": json.dumps({name: asdict(applied) for name, applied in summary.sinks.items()}),
        "statuses": json.dumps(lookups.statuses),
        "changes": json.dumps(summary.schema_changes),
    }
    _append(lake, summary.pipeline, summary.batch_id, summary.mode, run_id, counts)


def record_reconcile(lake: Lake, report: Report, run_id: str = "") -> None:
    """Record a reconcile that ends now; `run_id` is Airflow's, empty for one from a shell."""
    sinks = json.dumps({name: asdict(sink) for name, sink in report.sinks.items()})
    repaired = [f"{report.repaired:,} rows read again{f': {report.cause}' if report.cause else ''}"]
    changes = json.dumps(repaired if report.repaired else [])
    quarantined = report.unloadable + report.waiting
    counts = {"read": report.source, "quarantined": quarantined, "sinks": sinks, "changes": changes}
    _append(lake, report.pipeline, report.batch_id, Mode.RECONCILE, run_id, counts)


def _append(lake: Lake, pipeline: str, batch_id: int, kind: str, run_id: str, counts: dict[str, object]) -> None:
    identity = {"pipeline": pipeline, BATCH_ID: batch_id, "kind": str(kind), "run_id": run_id}
    times = {"started_at": time_of(batch_id), "ended_at": datetime.now(UTC)}
    try:
        append(lake, {**identity, **times, **counts})
    except Exception as error:  # noqa: BLE001 (the rows have arrived: the page may lack one line, the run is done)
        log.warning("batch %s of %s was not recorded in the table runs (%s)", batch_id, pipeline, type(error).__name__)
