"""The time that a contender measures itself: wall and CPU seconds of each stage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Stages of this process; the first is its start, from the parent's call to the end of the imports."""

    def __init__(self) -> None:
        self.stages = {"imports": time.time() - float(os.environ["BENCH_BEGUN"])}
        self.stages_cpu = {"imports": time.process_time()}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure one stage."""
        start, used = time.perf_counter(), time.process_time()
        yield
        self.stages[stage], self.stages_cpu[stage] = time.perf_counter() - start, time.process_time() - used

    def account(self, look_ups: int = 0) -> dict:
        """Return what the benchmark reads."""
        return {"stages": self.stages, "stages_cpu": self.stages_cpu, "look_ups": look_ups}
