"""
Import what tasks need once, in the process that forks the tasks.

With few rows, a task would spend more time on imports than on its work. LocalExecutor (in the scheduler) loads plugins
before it forks; a Celery worker imports this module because `[celery] extra_celery_config` names it. Tasks then find
libraries and our own modules imported, in memory that they share.

If the modification time or size of one of our files has changed since the import, the forked task removes our modules
from `sys.modules` and reloads them, so a changed file takes effect with the next task. Libraries are only imported, not
used, because one that started threads before the fork could hang or panic after it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

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

CORE = "include.medallion"
OURS = (
    "include.medallion.geocoders.offline",
    "include.medallion.gold.apply",
    "include.medallion.ops.log",
    "include.medallion.runs.record",
    "include.medallion.silver.apply",
    "include.medallion.steps.apply",
    "include.medallion.steps.commit",
    "include.medallion.steps.enrich",
    "include.medallion.steps.extract",
    "include.medallion.steps.open_window",
    "include.medallion.steps.run_options",
)
DOCUMENTS = (
    "include.medallion.model.counts:Applied",
    "include.medallion.model.window:Window",
    "include.medallion.staging.parts:EnrichedPart",
    "include.medallion.staging.records.log_position:LogPosition",
    "include.medallion.staging.records.log_position:LogRead",
    "include.medallion.staging.records.manifests:RawManifest",
    "include.medallion.steps.summary.row_counts:RunSummary",
)
"""What tasks read and write as JSON: how, is worked out in up to 3 ms for each."""
Stamp = tuple[int, int]
"""Time of the last change of a file, in nanoseconds, and its size."""


def forks_tasks(command: Sequence[str], executors: str) -> bool:
    """Return whether `airflow <command>` is a process that forks tasks."""
    if command[:1] == ["scheduler"]:
        return "LocalExecutor" in executors
    return command[:2] == ["celery", "worker"]


def is_found() -> bool:
    """Return whether the core can be imported: a Celery worker may import this module before its path is complete."""
    try:
        return find_spec(CORE) is not None
    except ModuleNotFoundError:
        return False


def preload(*names: str) -> None:
    """Import modules, except the Snowflake connector's `minicore`, which would be loaded in a thread."""
    os.environ.setdefault("SNOWFLAKE_DISABLE_MINICORE", "true")
    for name in names:
        import_module(name)


def prepare_documents() -> None:
    """Work out how documents are read and written."""
    adapter = import_module("include.medallion.staging.records.documents").adapter
    for module, _, name in (each.partition(":") for each in DOCUMENTS):
        adapter(getattr(import_module(module), name))


def our_files() -> list[Path]:
    """Return the files of our modules: those of the core, and the plugins beside this one."""
    core = Path(str(import_module(CORE).__file__)).parent
    return [*core.rglob("*.py"), *Path(__file__).parent.glob("medallion_*.py")]


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the stamp of each file that is there."""
    found = ((file, file.stat()) for file in files if file.exists())
    return {file: (stat.st_mtime_ns, stat.st_size) for file, stat in found}


def forget_changed(known: Mapping[Path, Stamp]) -> None:
    """
    Remove our modules from `sys.modules` if one of their files has changed, so that all of them are reloaded.

    Args:
        known: stamps of the files when they were imported.
    """
    if stamps(known) == known:
        return
    for name in [*sys.modules]:
        if name != __name__ and (name == CORE or name.startswith((f"{CORE}.", "medallion_"))):
            del sys.modules[name]


def _executors() -> str:
    from airflow.configuration import conf

    return conf.get("core", "executor")


if forks_tasks(sys.argv[1:], _executors()):
    imported_at = stamps(our_files()) if is_found() else {}
    preload(*(LIBRARIES if not imported_at else (*LIBRARIES, *OURS)))
    if imported_at:
        prepare_documents()
    os.register_at_fork(after_in_child=partial(forget_changed, imported_at))
