"""
Maintenance of one pipeline in a process that is killed at a chosen point, as if its machine had failed.

Everything that retention may delete is old enough, and every commit is due for a checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module

from include.medallion.config import files as pipeline_files
from include.medallion.config.connections import open_connections
from include.medallion.lake import delta
from include.medallion.model.retention import Retention
from include.medallion.ops import maintenance

# each process is a fork of one that has imported this module and used nothing of it
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def kill_maintenance(environ: Mapping[str, str], name: str, *point: str) -> int:
    """
    Maintain a pipeline in a process that is killed at a point; return how that ended.

    Args:
        environ: its settings.
        name: the pipeline.
        point: before, during or after; a module; and a function of it.
    """
    process = FORKS.Process(target=maintain_until, args=(dict(environ), name, *point))
    process.start()
    process.join()
    return process.exitcode


def maintain_until(environ: Mapping[str, str], name: str, when: str, module: str, function: str) -> None:
    """Replace the function by one that kills the process, and run the maintenance."""
    os.environ.update(environ)
    *path, last = function.split(".")
    owner = import_module(module)
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, kill_at(when, getattr(owner, last)))
    delta.COMMITS_PER_CHECKPOINT = 1
    pipeline = pipeline_files.find_pipeline(name)
    keep = Retention(datetime.now(UTC) + timedelta(days=365), timedelta(days=30), timedelta(0))
    maintenance.maintain(pipeline, open_connections(pipeline, os.environ), keep)
    sys.exit("maintenance ended without reaching the point")


def kill_at(when: str, function: object) -> object:
    """Return a function that kills the process before, during or after the given one."""

    def killing(*args: object, **kwargs: object) -> object:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if when == "during":  # a shell, which no lock of this interpreter can delay
            subprocess.Popen(["/bin/sh", "-c", f"sleep 0.03; kill -9 {os.getpid()}"], start_new_session=True)
        result = function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    return killing
