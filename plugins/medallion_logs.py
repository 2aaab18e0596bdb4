"""What a person sees of a task's log in Airflow's page: long parts folded, and the reason of a failure as its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from include.medallion.errors import MedallionError
from include.medallion.redaction.library_errors import describe_library_error, redact_library_errors

log = logging.getLogger("airflow.task.medallion")


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Put all that is logged in this block under a title that can be opened."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")


@contextmanager
def readable_failures() -> Iterator[None]:
    """
    Redact an error of this block, and fold what Airflow logs of it, which is a page of frames.

    The title stays open until `log_reason` runs, as a callback of the task.

    Raises:
        MedallionError: what went wrong; errors of libraries become `Unforeseen`.
    """
    try:
        with redact_library_errors():
            yield
    except Exception:
        log.info("::group::where it failed")
        raise


def log_reason(context: Mapping[str, Any]) -> None:
    """End a failed task's log with the reason in one sentence; a callback of failures and retries."""
    error = context.get("exception")
    if not isinstance(error, Exception):
        return  # the process was killed: this is another one
    for _ in ("Post Execute", "where it failed"):
        log.info("::endgroup::")
    ours = isinstance(error, MedallionError)
    log.error("%s", f"{type(error).__name__}: {error}" if ours else describe_library_error(error))
