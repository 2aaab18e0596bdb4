"""What happens beside the runs of a phase: DDL and reloads in the workload, killed reconciles, restored sinks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from .cluster import Cluster
from .restore import restore_again_and_again

ROOT = Path(__file__).parents[2]
WRITTEN = ("ddl", "reload")
"""What the workload does while a file of that name exists."""


@contextmanager
def meanwhile(cluster: Cluster, wanted: Collection[str]) -> Iterator[None]:
    """Let these things happen until the block ends."""
    files, ended = [cluster.state / "workload" / name for name in WRITTEN if name in wanted], Event()
    for file in files:
        file.touch()
    threads = [Thread(target=LOOPS[name], args=(cluster, ended), daemon=True) for name in LOOPS if name in wanted]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for file in files:
            file.unlink()
        ended.set()
        for thread in threads:
            thread.join()


def _reconcile_again_and_again(cluster: Cluster, ended: Event) -> None:
    """Reconcile from a shell; kill every second one on its way."""
    command = [sys.executable, "-m", "include.medallion", "reconcile", "chaos"]
    environ = {**os.environ, **cluster.settings}
    with (cluster.state / "reconciles.log").open("wb") as log:
        while not ended.wait(random.uniform(0.5, 3)):
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
            if random.random() < 0.5:
                ended.wait(random.uniform(1, 8))
                process.kill()
            process.wait()


LOOPS = {"reconcile": _reconcile_again_and_again, "restore": restore_again_and_again}
"""What a thread does until an event is set."""
