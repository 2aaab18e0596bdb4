"""
Maintenance of one pipeline in a process that is killed at a chosen point, as if its machine had failed.

    python -m tests.integration.kill_points_maintenance PIPELINE before|during|after MODULE FUNCTION

Settings come from the environment. Everything that retention may delete is old enough, and every commit is due for a
checkpoint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module

from include.medallion.config import files as pipeline_files
from include.medallion.config.connections import open_connections
from include.medallion.lake import delta_maintenance
from include.medallion.model.retention import Retention
from include.medallion.ops import maintenance


def main() -> None:
    """Replace the function by one that kills the process, and run the maintenance."""
    name, when, module, function = sys.argv[1:]
    *path, last = function.split(".")
    owner = import_module(module)
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, kill_at(when, getattr(owner, last)))
    delta_maintenance.COMMITS_PER_CHECKPOINT = 1
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


if __name__ == "__main__":
    main()
