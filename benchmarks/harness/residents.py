"""Contenders that go on working beside the benchmark, and what their processes use meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.harness.contest import SCRIPTS, Contender
from benchmarks.harness.measure import ContenderFailed
from benchmarks.harness.servers import Servers, child_environment
from include.sandbox import airflow, processes
from include.sandbox.processes import Daemon

EVERY_SECONDS = 0.5
SECONDS_TO_END = 20


@dataclass(frozen=True)
class Resident:
    """What works all the time: its processes, and a check that raises `ContenderFailed` once it does not."""

    members: Callable[[], list[psutil.Process]]
    check: Callable[[], None] = lambda: None


@contextmanager
def resident(servers: Servers, contender: Contender) -> Iterator[Resident]:
    """Start a contender that goes on by itself, or run its script again and again; end it afterwards."""
    command = [str(part) for part in contender.command(servers, contender.slug)]
    if not contender.settings.get("resident"):
        command = [sys.executable, str(SCRIPTS / "in_a_loop.py"), json.dumps(command)]
    log = servers.state / "contenders" / contender.slug / "run.log"
    environment = child_environment({"BENCH_BEGUN": str(time.time())})
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    root = psutil.Process(process.pid)

    def check() -> None:
        if process.poll() is not None:
            raise ContenderFailed(f"{contender.name} ended with {process.returncode}:\n{_end(log)}")

    try:
        yield Resident(lambda: _family([root] if root.is_running() else []), check)
    finally:
        _stop(process)


def in_airflow(state: Path) -> Resident:
    """Return the components of a running Airflow with their tasks, without its database."""
    daemons = [Daemon(state, f"airflow-{component}") for component in airflow.COMPONENTS]
    return Resident(lambda: _family([found for d in daemons if (found := processes.running(d))]))


def cost(of: Resident, seconds: float) -> dict[str, float]:
    """Return memory in MB (`memory_mb`, pages that processes share counted once) and `cores` while nothing changes."""
    begun, used, samples = time.perf_counter(), _cpu(of), []
    while (passed := time.perf_counter() - begun) < seconds or not samples:
        samples.append(sum(_bytes(member) for member in of.members()) / 1e6)
        time.sleep(EVERY_SECONDS)
    return {"memory_mb": median(samples), "cores": (_cpu(of) - used) / max(passed, EVERY_SECONDS)}


def _family(roots: list[psutil.Process]) -> list[psutil.Process]:
    return [*roots, *(child for root in roots for child in root.children(recursive=True))]


def _cpu(of: Resident) -> float:
    """Return the CPU seconds until now, those of ended children included."""
    return sum(sum(_times(member)) for member in of.members())


def _times(member: psutil.Process) -> tuple[float, ...]:
    with suppress(psutil.NoSuchProcess):
        found = member.cpu_times()
        return found.user, found.system, found.children_user, found.children_system
    return ()


def _bytes(member: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return member.memory_full_info().pss
    return 0


def _stop(process: subprocess.Popen) -> None:
    """End a contender with all that it has started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
            break


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
