"""
Send reports to Sentry with a client of their own: nothing global, bounded in time, never raising.

Airflow's own `[sentry]` integration is not used, because it costs every task
process two CPU seconds, reports every attempt, and redacts nothing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5  # Airflow kills a task's callbacks 20 s after the task
_LONGEST_TAG = 200  # Sentry drops longer ones
_NOTHING: Mapping[str, Any] = {}


class Report(NamedTuple):
    """One event to send: `error` if it is set, otherwise `exception` or `message`."""

    fingerprint: list[str]
    tags: dict[str, Any]
    message: str
    details: Mapping[str, Any] = _NOTHING
    error: BaseException | None = None
    exception: dict | None = None
    safe: Mapping[str, str] = _NOTHING


def send(find_reports: Callable[[], list[Report]]) -> None:
    """Send the reports that `find_reports()` returns; if that fails, log one warning and do not raise."""
    dsn = os.environ.get("SENTRY_DSN", "").strip()
    if not dsn:
        return
    try:
        lost = _deliver(dsn, find_reports())
    except Exception as error:  # noqa: BLE001 a failed report must not fail the task
        lost = type(error).__name__  # only the type: the message may quote the DSN
    if lost:
        log.warning("not reported to Sentry (%s): the failure is in the task's log only", lost)


def _deliver(dsn: str, found: list[Report]) -> str | None:
    """Send all reports in bounded time; return why an event was or may have been lost, None if none was."""
    client, lost, started = _client(dsn), [], time.monotonic()
    client.transport.on_dropped_event = lost.append
    with _quiet():
        lost += ["dropped by the redaction" for report in found if not _capture(client, report)]
        client.close(timeout=FLUSH_SECONDS)
    if time.monotonic() - started >= FLUSH_SECONDS:
        lost.append(f"no answer in {FLUSH_SECONDS} s")
    return lost[0] if lost else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress urllib3's log line for every attempt; the result is logged once."""
    logger = logging.getLogger("urllib3.connectionpool")

    def foreign(record: logging.LogRecord) -> bool:
        return record.threadName != "sentry-sdk.BackgroundWorker"

    logger.addFilter(foreign)
    try:
        yield
    finally:
        logger.removeFilter(foreign)


def _client(dsn: str) -> Any:
    import sentry_sdk

    return sentry_sdk.Client(
        dsn=dsn,
        release=os.environ.get("SENTRY_RELEASE", ""),  # else the SDK asks git
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        send_default_pii=False,
        send_client_reports=False,
        spotlight=False,
        before_send=_before_send,
    )


def _capture(client: Any, report: Report) -> str | None:
    """Give one event to the client; return its id, None if it was dropped."""
    import sentry_sdk

    tags = {name: str(value) for name, value in report.tags.items() if value is not None}
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)  # `Scope(client=client)` would be ignored silently
        scope.set_tags({name: value for name, value in tags.items() if len(value) <= _LONGEST_TAG})
        scope.set_context("airflow", {**tags, **report.details})
        scope.fingerprint = report.fingerprint
        if report.error is not None:
            return scope.capture_exception(report.error)
        what = {"exception": report.exception} if report.exception else {"message": report.message}
        return scope.capture_event({"level": "error", **what}, hint={"safe": report.safe})


def _before_send(event: dict, hint: dict) -> dict:
    from airflow.sdk.log import redact

    from include.medallion.redaction.events import redact_event, safe_messages
    from include.medallion.redaction.patterns import redact_values, secrets_in

    secrets = secrets_in(os.environ)
    error = hint["exc_info"][1] if "exc_info" in hint else None
    safe = safe_messages(error) if error is not None else hint.get("safe", {})
    return redact_event(event, safe, mask=lambda text: str(redact(redact_values(text, secrets))))
