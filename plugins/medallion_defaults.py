"""Arguments that all DAGs of this package share: retries, failure reports, and schedule of the daily ones."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback
from medallion_logs import log_reason
from medallion_retries import PatientRetries
from sentry_notifier import SentryNotifier

from include.medallion.config.files import runs_on_schedule
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.values.durations import parse_duration

REPORT = SentryNotifier()
DAILY = "@daily" if runs_on_schedule() else None  # MEDALLION_SCHEDULE=manual: when triggered only
SETTINGS = {
    "start_date": datetime(2026, 1, 1),  # noqa: DTZ001 (in Airflow's time zone; catchup is off)
    "catchup": False,
    "max_active_runs": 1,
    "on_failure_callback": REPORT,
    "tags": ["medallion"],
    "default_args": {
        "retries": 4,
        "retry_policy": PatientRetries(),
        "retry_delay": timedelta(
            seconds=10
        ),  # for a task that ends without an exception, because its process was killed
        "on_failure_callback": [REPORT, log_reason],
        "on_retry_callback": log_reason,
    },
}


def deadline(pipeline: Pipeline) -> DeadlineAlert | None:
    """Return what reports a run of a pipeline that takes longer than `fresh_within`."""
    if pipeline.fresh_within is None:
        return None
    callback = SyncCallback(SentryNotifier)
    return DeadlineAlert(
        DeadlineReference.DAGRUN_QUEUED_AT, parse_duration(pipeline.fresh_within), callback, name="fresh_within"
    )
