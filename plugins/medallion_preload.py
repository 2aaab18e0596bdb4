"""
What every task imports is imported once: by the process that forks the tasks, before it does.

With a few rows a task would spend more time on importing its libraries than on its work. LocalExecutor (in the
scheduler) loads plugins first and forks afterwards; a Celery worker is told to import this module
(`[celery] extra_celery_config`). A task then finds the libraries imported, in memory that all tasks share.

Libraries only, none of ours: a mended file counts from the next task on. Imported only, not used: a library that
started threads before the fork would hang or panic after it. The one exception holds data, and no threads: ZIP codes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

LIBRARIES = (
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "airflow.providers.snowflake.hooks.snowflake",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.definitions.decorators",
    "deltalake.fs",
    "pandas",  # pyarrow imports it where it is installed
    "pyarrow.acero",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pyarrow.parquet",
    "pyrate_limiter",
    "snowflake.connector.file_transfer_agent",
    "tenacity",
    "thrift.protocol.TCompactProtocol",
)


def forks_tasks(command: Sequence[str], executors: str) -> bool:
    """Tell whether `airflow <command>` is a process that tasks are forked from."""
    if command[:1] == ["scheduler"]:
        return "LocalExecutor" in executors
    return command[:2] == ["celery", "worker"]


def preload() -> None:
    """Import the libraries; the connector's own one is left out, which a thread would load."""
    os.environ.setdefault("SNOWFLAKE_DISABLE_MINICORE", "true")
    for name in LIBRARIES:
        import_module(name)
    import_module("zipcodes").similar_to("00501")  # at its first answer it unpacks 38 MB, in a quarter of a second


def _executors() -> str:
    from airflow.configuration import conf

    return conf.get("core", "executor")


if forks_tasks(sys.argv[1:], _executors()):
    preload()
