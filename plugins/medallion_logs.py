"""What a person sees of a task's log in Airflow's page: long parts folded under a title."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("airflow.task.medallion")


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Put all that is logged in this block under a title that can be opened."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")
