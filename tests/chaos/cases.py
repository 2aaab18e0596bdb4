"""What is struck where: every boundary of every task, every server, every wire."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from .orders import Order
from .rig import Rig


class Case(NamedTuple):
    """One way to be struck; `order` says where, `spread` how much later at most (drawn anew each time)."""

    label: str
    order: Order
    spread: float = 0.0
    latest: int = 1  # at which passage of the point, at most (drawn anew each time)
    shoot: str = ""  # the daemon that is shot in place of the task

    @property
    def task(self) -> str:
        """The task that is struck."""
        return self.label.partition(":")[0]

    def draw(self, rig: Rig) -> Order:
        """Make an order of it."""
        seconds = random.uniform(0.001, self.spread) if self.spread else 0.0
        pid = rig.pid(self.shoot) if self.shoot else 0
        return replace(self.order, nth=random.randint(1, self.latest), seconds=seconds, pid=pid)


def _die(label: str, point: str, spread: float = 0.0, latest: int = 1) -> Case:
    return Case(label, Order(point), spread, latest)


def _call(label: str, point: str, who: str, latest: int = 1) -> Case:
    return Case(label, Order(point, "call", who=who), latest=latest)


TASKS = [
    _die("open_window: before it fixes the window", "open_window.read"),
    _die("extract: in the middle of the rows", "extract.batch", latest=4),
    _die("extract: between two parts' uploads", "extract.upload", latest=2),
    _die("extract: some chunks staged", "extract.chunk", latest=2),
    _die("extract: all staged, before it returns", "extract.staged"),
    _die("enrich: keys claimed, none asked for", "enrich.claimed"),
    _die("enrich: calls in flight", "enrich.asking", latest=20),
    _die("enrich: paid, not yet staged", "enrich.paid", latest=2),
    _die("enrich: paid and staged", "enrich.kept", latest=2),
    _die("enrich: while it settles the account", "enrich.settling", spread=0.2),
    _die("enrich: before its claims are released", "enrich.releasing"),
    _die("enrich: between its two uploads", "enrich.upload"),
    _die("enrich: all staged, before it returns", "enrich.staged"),
    _die("load_silver: while it fills the quarantine", "silver.quarantine", spread=0.3),
    _die("load_silver: during PUT", "silver.putting", spread=0.05, latest=2),
    _die("load_silver: before COPY", "silver.before_copy"),
    _die("load_silver: during COPY", "silver.copying", spread=0.2),
    _die("load_silver: between COPY and BEGIN", "silver.copied"),
    _die("load_silver: during MERGE", "silver.merging", spread=0.15),
    _die("load_silver: after MERGE, before the ledger", "silver.merged"),
    _die("load_silver: before COMMIT", "silver.recorded"),
    _die("load_silver: after COMMIT", "silver.committed"),
    _die("load_silver: done, before it returns", "silver.loaded"),
    _die("write_gold: while it merges look-ups", "cache.merging", spread=0.3),
    _die("write_gold: look-ups merged, not deleted", "cache.merged"),
    _die("write_gold: before the Delta commit", "gold.before"),
    _die("write_gold: during the Delta commit", "gold.merging", spread=0.4),
    _die("write_gold: right after its commit", "gold.merged"),
    _die("write_gold: done, before it returns", "gold.written"),
    _die("commit: before the watermark", "commit.before"),
    _die("commit: after the watermark", "commit.after"),
]
REPLACING = [
    _die("load_silver: between DELETE and INSERT", "silver.replaced"),
    _die("write_gold: during the overwrite", "gold.replacing", spread=0.5),
    _die("write_gold: right after the overwrite", "gold.replaced"),
]
NOT_IN_A_REFRESH = ("erge", "MERGE", "chunks")  # its sinks are replaced, and it reads the table as one chunk
REFRESH = [*(case for case in TASKS if not any(word in case.label for word in NOT_IN_A_REFRESH)), *REPLACING]
SCHEDULER = [
    _call(f"scheduler {how}: in {task}", point, deed)
    for how, deed in (("and its tasks", "kill_scheduler"), ("alone", "kill_scheduler_only"))
    for task, point in (
        ("extract", "extract.batch"),
        ("enrich", "enrich.kept"),
        ("load_silver", "silver.merged"),
        ("write_gold", "gold.before"),
    )
]
SERVERS = [
    _call("Postgres: in the middle of extract", "extract.batch", "crash_postgres", latest=3),
    _call("Postgres: right after the window was fixed", "open_window.read", "crash_postgres"),
    Case(
        "Snowflake: in the middle of MERGE",
        Order("silver.merging", "shoot", then="start_snowflake"),
        spread=0.05,
        shoot="snowflake",
    ),
    Case(
        "Snowflake: during COPY",
        Order("silver.copying", "shoot", then="start_snowflake"),
        spread=0.1,
        shoot="snowflake",
    ),
    _call("Snowflake: after MERGE, before COMMIT", "silver.recorded", "crash_snowflake"),
    _call("S3: in the middle of extract", "extract.upload", "crash_s3"),
    _call("S3: between data file and log entry", "gold.before", "crash_s3 at the log entry"),
]
NETWORK = [
    _call("network hangs: Postgres, in extract", "extract.batch", "hang bronze"),
    _call("network hangs: Google, in enrich", "enrich.asking", "hang google", latest=20),
    _call("network hangs: S3, in enrich", "enrich.upload", "hang s3"),
    _call("network hangs: Snowflake, before COPY", "silver.before_copy", "hang silver"),
    _call("network hangs: S3, before the Delta commit", "gold.before", "hang s3"),
    _call("network cut: Google, in enrich", "enrich.asking", "cut google", latest=20),
    _call("network cut: Snowflake, before COMMIT", "silver.recorded", "cut silver"),
    _call("network cut: S3, before the Delta commit", "gold.before", "cut s3"),
    _call("network: the answer to Gold's commit is lost", "gold.before", "lose the answer to the log entry"),
    _call("network: the answer to Silver's COMMIT is lost", "silver.recorded", "lose the answer of silver"),
]
EVERY = [*TASKS, *REPLACING, *SCHEDULER, *SERVERS, *NETWORK]


def named(*labels: str) -> list[Case]:
    """Return cases by their labels."""
    found = {case.label: case for case in EVERY}
    return [found[label] for label in labels]
