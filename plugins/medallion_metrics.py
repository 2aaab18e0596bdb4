"""
A run's numbers, sent where Airflow sends its own (`[metrics]` in its configuration: StatsD or OpenTelemetry).

Each is named `medallion.<pipeline>.<number>`, behind Airflow's own prefix. A
number that cannot be sent is logged; it never harms the run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.medallion.model.window import Window
    from include.medallion.steps.summary.row_counts import RunSummary

log = logging.getLogger(__name__)

COUNTERS = {
    "rows_read": "rows of the source that a run read",
    "rows_quarantined": "of these, set aside",
    "keys_gone": "keys in the log of rows that the source no longer has",
    "rows_unchanged": "of these, left out because nothing that is loaded had changed",
    "silver_inserted": "rows new in Snowflake",
    "silver_updated": "rows written over an older version in Snowflake",
    "silver_deleted": "rows marked or removed in Snowflake",
    "silver_superseded": "rows that Snowflake held in a newer version",
    "gold_inserted": "rows new in Delta",
    "gold_updated": "rows written over an older version in Delta",
    "gold_deleted": "rows marked or removed in Delta",
    "gold_superseded": "rows that Delta held in a newer version",
    "keys": "distinct keys to look up",
    "keys_cached": "of these, answered by the cache",
    "keys_unresolved": "of these, without a result: neither OK nor waiting for a budget",
    "calls": "calls to a provider",
    "spend_usd": "what they cost at the provider's list price",
    "conflicts": "Delta commits that lost a race and were tried again",
}
GAUGES = {
    "log_bytes": "bytes of the source's log that a window had to read",
    "lag_transactions": "transactions begun, but not in the window because an older one is open",
    "lag_seconds": "age of the window when both sinks held it",
    "held_at": "Unix time of the newest window that both sinks hold",
    "quarantine_depth": "rows of the pipeline that wait in quarantine",
    "run_seconds": "from the start of the run to its commit",
}


def wanted() -> bool:
    """Return whether Airflow is configured to send metrics anywhere."""
    from airflow.sdk.configuration import conf

    return any(conf.getboolean("metrics", name) for name in ("statsd_on", "statsd_datadog_enabled", "otel_on"))


def counters(summary: RunSummary) -> dict[str, float]:
    """Return the counters of a run."""
    lookups = summary.lookups
    sinks = {
        f"{sink}_{what}": getattr(applied, what)
        for sink, applied in summary.sinks.items()
        for what in ("inserted", "updated", "deleted", "superseded")
    }
    return {
        "rows_read": summary.read,
        "rows_quarantined": summary.quarantined,
        "keys_gone": summary.gone,
        "rows_unchanged": summary.unchanged,
        **sinks,
        "keys": lookups.keys,
        "keys_cached": lookups.cached,
        "keys_unresolved": lookups.unresolved,
        "calls": lookups.calls,
        "spend_usd": lookups.cost_usd,
    }


def emit(window: Window, summary: RunSummary, began: datetime) -> None:
    """Send the numbers of a run that all sinks have committed."""
    if not wanted():
        return
    with _harmless(window.pipeline) as (count, gauge):
        for name, value in counters(summary).items():
            count(name, value)
        gauge("run_seconds", _seconds_since(began))
        gauge("quarantine_depth", _quarantine_depth(window.pipeline))
        _freshness(window, gauge)


def emit_nothing_new(window: Window) -> None:
    """Send how far the sinks are after a run that found nothing to bring."""
    if not wanted():
        return
    with _harmless(window.pipeline) as (_, gauge):
        _freshness(window, gauge)


@contextmanager
def counting_conflicts(pipeline: str) -> Iterator[None]:
    """Count the Delta commits that conflict and are retried in this block, in all threads, if metrics are on."""
    if not wanted():
        yield
        return
    from include.medallion.lake import delta

    counter = _ConflictCounter(pipeline)
    counter.addFilter(lambda record: record.msg == delta.CONFLICT_MESSAGE)
    delta.log.addHandler(counter)
    try:
        yield
    finally:
        delta.log.removeHandler(counter)


class _ConflictCounter(logging.Handler):
    """Counts the log records it receives in the metric `conflicts` of a pipeline."""

    def __init__(self, pipeline: str) -> None:
        super().__init__(logging.WARNING)
        self.pipeline = pipeline

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 (the filter has looked at it)
        with _harmless(self.pipeline) as (count, _):
            count("conflicts", 1)


def _freshness(window: Window, gauge: Any) -> None:
    gauge("lag_transactions", window.lag)
    if window.log:
        gauge("log_bytes", window.log.upto - window.log.after)
    gauge("lag_seconds", _seconds_since(window.opened_at))
    gauge("held_at", window.opened_at.timestamp())


def _seconds_since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 3)


def _quarantine_depth(pipeline: str) -> int:
    from medallion_connections import lake

    from include.medallion.quarantine import table as quarantine_table

    return quarantine_table.open_entries(lake(), pipeline).num_rows


@contextmanager
def _harmless(pipeline: str) -> Iterator[tuple[Any, Any]]:
    """Lend a counter and a gauge of the pipeline; what fails in between is logged."""
    from airflow.sdk.observability import stats

    try:
        yield (
            lambda name, value: stats.incr(f"medallion.{pipeline}.{name}", value, tags={"pipeline": pipeline}),
            lambda name, value: stats.gauge(f"medallion.{pipeline}.{name}", value, tags={"pipeline": pipeline}),
        )
    except Exception as error:  # noqa: BLE001 a number must not harm the run
        log.warning("metrics of %s were not sent (%s)", pipeline, type(error).__name__)
