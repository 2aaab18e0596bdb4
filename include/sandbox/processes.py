"""Servers as detached processes: started, watched and stopped through a pid file and a log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from include.sandbox import private
from include.sandbox.errors import SandboxError

T = TypeVar("T")


@dataclass(frozen=True)
class Daemon:
    """One server of the sandbox in `state`, running or not."""

    state: Path
    name: str

    @property
    def log(self) -> Path:
        """What the server wrote since its last start."""
        return self.state / "logs" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Which process it is, if it was started and not stopped."""
        return self.state / "pids" / f"{self.name}.json"


@dataclass(frozen=True)
class Account:
    """The user that a server runs as, when that is not the caller."""

    uid: int
    gid: int


def spawn(
    daemon: Daemon,
    command: Sequence[str | Path],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
) -> None:
    """Start the server in a session of its own, so that it outlives the caller and can be stopped as a whole."""
    for folder in (daemon.log.parent, daemon.pid_file.parent):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    with daemon.log.open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            env=env,
            cwd=cwd,
            **identity,
        )
    started = psutil.Process(process.pid).create_time()
    private.write(daemon.pid_file, json.dumps({"pid": process.pid, "started": started}))


def running(daemon: Daemon) -> psutil.Process | None:
    """Return the server's process, or None: also if its pid now belongs to another program."""
    try:
        kept = json.loads(daemon.pid_file.read_text())
        process = psutil.Process(kept["pid"])
        with process.oneshot():
            # the clock may have been corrected by a second since
            same = abs(process.create_time() - kept["started"]) < 2  # noqa: PLR2004
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def wait(daemon: Daemon, check: Callable[[], T], *, seconds: float, every: float = 0.1) -> T:
    """
    Return `check()`'s result as soon as it no longer raises.

    Raises:
        SandboxError: the server ended, or `seconds` passed; with the last
            failure and the end of the server's log.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except Exception as e:  # noqa: BLE001 (clients raise many errors while their server boots)
            problem = f"{type(e).__name__}: {e}"
        if running(daemon) is None:
            raise SandboxError(f"{daemon.name} ended while it started\n{tail(daemon)}")
        if time.monotonic() > deadline:
            raise SandboxError(f"{daemon.name} does not answer after {seconds:.0f} s: {problem}\n{tail(daemon)}")
        time.sleep(every)


def stop(daemon: Daemon, *, politely: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
    """End the server and everything it started: first politely, after `seconds` by force."""
    if process := running(daemon):
        family = [process, *process.children(recursive=True)]
        _signal(process.pid, politely)
        _, left = psutil.wait_procs(family, timeout=seconds)
        _signal(process.pid, signal.SIGKILL)
        for straggler in left:
            with suppress(psutil.NoSuchProcess):
                straggler.kill()
        psutil.wait_procs(left, timeout=5)
    daemon.pid_file.unlink(missing_ok=True)


def tail(daemon: Daemon, lines: int = 25) -> str:
    """Return the end of the server's log, and where the rest is."""
    if not daemon.log.exists():
        return "(it wrote no log)"
    end = daemon.log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"the end of {daemon.log}:", *(f"  | {line}" for line in end)])


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
