"""
Injects faults from outside the product: functions are wrapped when their modules are imported.

Python runs this file at its start because its folder is on the PYTHONPATH of the chaos run's Airflow, and of no other.
`CHAOS_FOLDER` holds one file per fault, `faults/<point>~<id>`; the process whose rename to `taken/` succeeds carries it
out, so that a fault happens once. Without a fault the function runs unchanged.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import wraps
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

from chaos_points import POINTS, PRELOADED, SETTINGS, STAGE_ANSWERS, Point

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "/nonexistent"))
FORKING = "airflow.executors.local_executor"
WRAPPED = {p.target for p in POINTS.values()} | {p.inside for p in POINTS.values() if p.inside} | {STAGE_ANSWERS}
active: Counter = Counter()
reached: Counter = Counter()


def wrap(target: str, function):
    """Return the function with its points before, during and after it."""

    @wraps(function)
    def wrapped(*args, **kwargs):
        active[target] += 1
        try:
            reach(target, args, "before", "during")
            result = function(*args, **kwargs)
        finally:
            active[target] -= 1
        if target == STAGE_ANSWERS:
            note(args[2], args[3])
        reach(target, args, "after")
        return result

    return wrapped


def reach(target: str, args: tuple, *moments: str) -> None:
    """Carry out the faults of this moment."""
    for name, point in POINTS.items():
        if point.target == target and point.when in moments and applies(point, args):
            reached[name] += 1
            if fault := take(name):
                carry_out(*fault)


def applies(point: Point, args: tuple) -> bool:
    """Return whether the call is the one that the point describes."""
    if point.inside and not active[point.inside]:
        return False
    texts = [arg for arg in args if isinstance(arg, str)]
    return not point.argument or any(re.search(rf"(?m)^{point.argument}(?!\w)", text) for text in texts)


def take(name: str) -> tuple[str, dict] | None:
    """Take a fault for a point; None if none is due, or another process was faster."""
    for file in sorted(FOLDER.glob(f"faults/{name}~*")):
        try:
            fault = json.loads(file.read_text())
            if reached[name] >= fault["nth"]:
                file.rename(FOLDER / "taken" / file.name)
                return file.name, fault
        except FileNotFoundError:
            continue
    return None


def carry_out(name: str, fault: dict) -> None:
    """Die, now or after a delay; kill another process after a delay; or wait until the cluster has acted."""
    if fault["how"] == "wait":
        answer = FOLDER / "done" / name
        while not answer.exists():
            time.sleep(0.005)
    elif fault["how"] == "kill" or fault["seconds"]:
        kill_later(fault["pid"] or os.getpid(), fault["seconds"], FOLDER / "killed" / name)
    else:
        (FOLDER / "killed" / name).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def kill_later(pid: int, seconds: float, record: Path) -> None:
    """Let a shell kill a process: no lock of this interpreter can delay it."""
    command = f"sleep {seconds}; kill -9 {pid} && : > '{record}'"
    subprocess.Popen(["/bin/sh", "-c", command], stderr=subprocess.DEVNULL, start_new_session=True)


def note(keys: list, answers) -> None:
    """Record which paid answers are now staged, and since when."""
    staged = [list(key) for key, life in zip(keys, answers["keep"].to_pylist(), strict=True) if life]
    with (FOLDER / "staged_answers.jsonl").open("a") as log:
        log.write(json.dumps({"at": time.monotonic(), "keys": staged}) + "\n")


class Finder(PathFinder):
    """Find the modules that have points, and change them after they have been executed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Leave all other modules to the usual finders."""
        wanted = [t for t in WRAPPED if t.startswith(f"{name}:")]
        if not (wanted or name in SETTINGS or (name == FORKING and "scheduler" in sys.argv)):
            return None
        spec = super().find_spec(name, path, target)
        spec.loader.exec_module = changed(spec.loader.exec_module, name, wanted)
        return spec


def changed(execute, name: str, wanted: list[str]):
    """Return a function that executes a module and then wraps its functions."""

    def run(module) -> None:
        execute(module)
        for setting, value in SETTINGS.get(name, {}).items():
            setattr(module, setting, value)
        for target in wanted:
            *owners, last = target.partition(":")[2].split(".")
            owner = module
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, last, wrap(target, getattr(owner, last)))
        if name == FORKING:
            for other in PRELOADED:
                import_module(other)

    return run


if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder)
