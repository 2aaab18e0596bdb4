"""One process and all that it starts, measured from outside: time, CPU, memory, bytes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY_SECONDS = 0.02


class ContenderFailed(Exception):
    """A contender ended with an error; the message holds the end of what it wrote."""


@dataclass
class Family:
    """What a process and its descendants have used so far, as the last sample saw it."""

    peak_bytes: int = 0
    read: dict[int, int] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)

    def sample(self, process: psutil.Process) -> None:
        """Look at the whole family once."""
        with suppress(psutil.NoSuchProcess):
            members = [process, *process.children(recursive=True)]
            self.peak_bytes = max(self.peak_bytes, sum(self._member(m) for m in members))

    def _member(self, member: psutil.Process) -> int:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            io = member.io_counters()
            self.read[member.pid], self.written[member.pid] = io.read_chars, io.write_chars
            return member.memory_info().rss
        return 0


def measure(command: Sequence[str | Path], environment: Mapping[str, str]) -> dict:
    """
    Run a command to its end and return what it took.

    The last line that it prints is JSON: its own account (`stages` in seconds, `look_ups`; `wall` and `cpu` if only a
    part of it counts).

    Returns:
        wall and cpu in seconds, peak_mb of the family's resident memory, files_read_mb and files_written_mb through
        system calls on files, and `said`: the account.

    Raises:
        ContenderFailed: it ended with an error.
    """
    family = Family()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        started = subprocess.Popen(
            [str(c) for c in command], stdout=out, stderr=err, env={**environment, "BENCH_BEGUN": str(time.time())}
        )
        process = psutil.Process(started.pid)
        while (ended := os.wait4(started.pid, os.WNOHANG))[0] == 0:
            family.sample(process)
            time.sleep(EVERY_SECONDS)
        wall = time.perf_counter() - begun
        started.returncode = os.waitstatus_to_exitcode(ended[1])
        said = _account(command, started.returncode, _text(out), _text(err))
    usage = ended[2]
    return {
        "wall": said.get("wall", wall),
        "cpu": said.get("cpu", usage.ru_utime + usage.ru_stime),
        "peak_mb": family.peak_bytes / 1e6,
        "files_read_mb": sum(family.read.values()) / 1e6,
        "files_written_mb": sum(family.written.values()) / 1e6,
        "said": said,
    }


def _account(command: Sequence[str | Path], code: int, out: str, err: str) -> dict:
    lines = out.strip().splitlines()
    if code != 0 or not lines:
        raise ContenderFailed(f"{command[1]} ended with {code}:\n{out[-500:]}\n{err[-3000:]}")
    return json.loads(lines[-1])


def _text(file: tempfile.TemporaryFile) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
