"""
Strikes from outside the product: functions are wrapped as their modules are imported.

Python runs this file at its start because its folder is on the PYTHONPATH of the
storm's Airflow, and of no other. `CHAOS_FOLDER` holds one file per order,
`orders/<point>~<id>`; the process whose rename to `struck/` succeeds carries it
out, so that an order strikes once. No order: the function runs as it is.
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

from chaos_points import AHEAD, KEEP, POINTS, SETTINGS, Point

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "/nonexistent"))
FORKING = "airflow.executors.local_executor"
WRAPPED = {p.target for p in POINTS.values()} | {p.inside for p in POINTS.values() if p.inside} | {KEEP}
active: Counter = Counter()
reached: Counter = Counter()


def wrap(target: str, function):
    """Return the function with its points before, around and behind it."""

    @wraps(function)
    def struck(*args, **kwargs):
        active[target] += 1
        try:
            reach(target, args, "before", "during")
            result = function(*args, **kwargs)
        finally:
            active[target] -= 1
        if target == KEEP:
            note(args[2], args[3])
        reach(target, args, "after")
        return result

    return struck


def reach(target: str, args: tuple, *moments: str) -> None:
    """Carry out what is ordered for this moment."""
    for name, point in POINTS.items():
        if point.target == target and point.when in moments and meant(point, args):
            reached[name] += 1
            if order := claim(name):
                carry_out(*order)


def meant(point: Point, args: tuple) -> bool:
    """Tell whether it is where, and with what, the point says."""
    if point.inside and not active[point.inside]:
        return False
    return not point.said or re.search(rf"(?m)^{point.said}\b", str(args[1])) is not None


def claim(name: str) -> tuple[str, dict] | None:
    """Take an order for a point; None if there is none that is due, or another process was quicker."""
    for file in sorted(FOLDER.glob(f"orders/{name}~*")):
        try:
            order = json.loads(file.read_text())
            if reached[name] >= order["nth"]:
                file.rename(FOLDER / "struck" / file.name)
                return file.name, order
        except FileNotFoundError:
            continue
    return None


def carry_out(name: str, order: dict) -> None:
    """Die, now or in a moment; or shoot another process in a moment; or let the rig act and wait for it."""
    if order["how"] == "call":
        answer = FOLDER / "done" / name
        while not answer.exists():
            time.sleep(0.005)
    elif order["how"] == "shoot" or order["seconds"]:
        shoot(order["pid"] or os.getpid(), order["seconds"], FOLDER / "killed" / name)
    else:
        (FOLDER / "killed" / name).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def shoot(pid: int, seconds: float, told: Path) -> None:
    """Let a shell kill a process: no lock of this interpreter can delay it."""
    command = f"sleep {seconds}; kill -9 {pid} && : > '{told}'"
    subprocess.Popen(["/bin/sh", "-c", command], stderr=subprocess.DEVNULL, start_new_session=True)


def note(keys: list, answers) -> None:
    """Write down which paid answers are now staged, and since when."""
    kept = [list(key) for key, life in zip(keys, answers["keep"].to_pylist(), strict=True) if life]
    with (FOLDER / "kept.jsonl").open("a") as log:
        log.write(json.dumps({"at": time.monotonic(), "keys": kept}) + "\n")


class Finder(PathFinder):
    """Find the modules that have points, and change them when they have been executed."""

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
    """Return how a module is executed, with its functions wrapped at the end."""

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
            for other in AHEAD:
                import_module(other)

    return run


if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder)
