"""Faults to inject: placed as files, each taken once by the first process that reaches its point."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import Event, Thread

from .inject.chaos_points import POINTS

FOLDERS = ("faults", "taken", "killed", "done")
"""Folders of an injector: faults that wait, those that a process took, kills and actions that happened."""
serial = count(1)


@dataclass(frozen=True)
class Fault:
    """
    What happens at a point.

    Args:
        point: one of `POINTS`.
        how: `die`: the process is killed; `wait`: it waits while the cluster does `action`; `kill`: `pid` is killed.
        nth: how often one process must have reached the point.
        seconds: delay of a kill.
        action: of the cluster, for `wait`.
        pid: of the process to kill, for `kill`.
        then: action of the cluster once the fault was taken.
    """

    point: str
    how: str = "die"
    nth: int = 1
    seconds: float = 0.0
    action: str = ""
    pid: int = 0
    then: str = ""


class FaultInjector:
    """A folder of faults, and a thread that performs the actions of the cluster that they ask for."""

    def __init__(self, folder: Path, actions: dict[str, Callable[[], None]]) -> None:
        self.folder, self.actions = folder, actions
        self.placed: dict[str, Fault] = {}
        self.failures: list[str] = []
        self._ended, self._seen = Event(), set()
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def place(self, fault: Fault) -> str:
        """Make a fault available to all processes; return its name."""
        assert fault.point in POINTS, fault
        name = f"{fault.point}~{next(serial):04d}"
        self.placed[name] = fault
        fresh = self.folder / name
        fresh.write_text(json.dumps(asdict(fault)))
        fresh.rename(self.folder / "faults" / name)
        return name

    def withdraw(self) -> list[str]:
        """Withdraw the faults that no process has taken; return their names."""
        left = list((self.folder / "faults").iterdir())
        for file in left:
            file.unlink(missing_ok=True)
        return [file.name for file in left]

    def happened(self, name: str) -> bool:
        """Return whether a fault happened: killing a process that had ended already does not count."""
        folder = "done" if self.placed[name].how == "wait" else "killed"
        return (self.folder / folder / name).exists()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ended.wait(0.005):
            for file in sorted((self.folder / "taken").iterdir()):
                if file.name not in self._seen:
                    self._seen.add(file.name)
                    self._perform(file.name)

    def _perform(self, name: str) -> None:
        fault = self.placed[name]
        try:
            for action in filter(None, (fault.action, fault.then)):
                self.actions[action]()
        except Exception as e:  # noqa: BLE001 (reported at the end; the process that waits must continue)
            self.failures.append(f"{name}: {type(e).__name__}: {e}")
        finally:
            if fault.how == "wait":
                (self.folder / "done" / name).touch()
