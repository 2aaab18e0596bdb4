"""
Import the libraries of tasks once, in the process that forks the tasks.

With few rows, a task would spend more time on imports than on its work. LocalExecutor (in the scheduler) loads plugins
before it forks; a Celery worker imports this module because `[celery] extra_celery_config` names it. Tasks then find
the libraries imported, in memory that they share.

Our own modules are not preloaded, so that a changed file takes effect with the next task. Libraries are imported and
not used, because one that started threads before the fork could hang or panic after it. The exception is the table of
ZIP codes, which has no threads.
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
    "babel.core",
    "deltalake.fs",
    "pandas",  # pyarrow imports it if it is installed
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
    """Return whether `airflow <command>` is a process that forks tasks."""
    if command[:1] == ["scheduler"]:
        return "LocalExecutor" in executors
    return command[:2] == ["celery", "worker"]


def preload() -> None:
    """Import the libraries, except the Snowflake connector's `minicore`, which would be loaded in a thread."""
    os.environ.setdefault("SNOWFLAKE_DISABLE_MINICORE", "true")
    for name in LIBRARIES:
        import_module(name)


def _executors() -> str:
    from airflow.configuration import conf

    return conf.get("core", "executor")


if forks_tasks(sys.argv[1:], _executors()):
    preload()
