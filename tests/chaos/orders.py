"""Orders to strike: placed as files, taken once by whichever process comes by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import Event, Thread

from .inject.chaos_points import POINTS

serial = count(1)


@dataclass(frozen=True)
class Order:
    """
    What happens at a point.

    Args:
        point: one of `POINTS`.
        how: `die`; `call`: the process waits while the rig does `who`; `shoot`: kill `pid`.
        nth: at which time that one process reaches the point.
        seconds: how long after it the shot falls.
        then: what the rig does once the order was taken.
    """

    point: str
    how: str = "die"
    nth: int = 1
    seconds: float = 0.0
    who: str = ""
    pid: int = 0
    then: str = ""


class Orders:
    """A folder of orders, and a thread that does what they ask of the rig."""

    def __init__(self, folder: Path, deeds: dict[str, Callable[[], None]]) -> None:
        self.folder, self.deeds = folder, deeds
        self.placed: dict[str, Order] = {}
        self.failures: list[str] = []
        self._ended, self._seen = Event(), set()
        for name in ("orders", "struck", "killed", "done"):
            (folder / name).mkdir(parents=True)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def place(self, order: Order) -> str:
        """Let an order be carried out; return its name."""
        assert order.point in POINTS, order
        name = f"{order.point}~{next(serial):04d}"
        self.placed[name] = order
        fresh = self.folder / name
        fresh.write_text(json.dumps(asdict(order)))
        fresh.rename(self.folder / "orders" / name)
        return name

    def withdraw(self) -> list[str]:
        """Take back what nobody took; return its names."""
        left = list((self.folder / "orders").iterdir())
        for file in left:
            file.unlink(missing_ok=True)
        return [file.name for file in left]

    def struck(self, name: str) -> bool:
        """Tell whether an order was carried out: a shot at a process that had ended was none."""
        told = "done" if self.placed[name].how == "call" else "killed"
        return (self.folder / told / name).exists()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ended.wait(0.005):
            for file in sorted((self.folder / "struck").iterdir()):
                if file.name not in self._seen:
                    self._seen.add(file.name)
                    self._answer(file.name)

    def _answer(self, name: str) -> None:
        order = self.placed[name]
        try:
            for deed in filter(None, (order.who, order.then)):
                self.deeds[deed]()
        except Exception as e:  # noqa: BLE001 (told at the end; the process that waits must go on)
            self.failures.append(f"{name}: {type(e).__name__}: {e}")
        finally:
            if order.how == "call":
                (self.folder / "done" / name).touch()
