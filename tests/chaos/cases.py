"""Which faults are injected where: at every boundary of every task, every server, every connection."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from .cluster import Cluster
from .faults import Fault


class Case(NamedTuple):
    """
    One fault that is injected again and again.

    Args:
        label: its task or server, and when it happens.
        fault: where and how.
        spread: upper limit of the delay in seconds; drawn each time.
        latest: upper limit of `nth`; drawn each time.
        daemon: the server that is killed instead of the task.
    """

    label: str
    fault: Fault
    spread: float = 0.0
    latest: int = 1
    daemon: str = ""

    @property
    def task(self) -> str:
        """The task that is killed."""
        return self.label.partition(":")[0]

    def draw(self, cluster: Cluster) -> Fault:
        """Draw a delay and a passage."""
        seconds = random.uniform(0.001, self.spread) if self.spread else 0.0
        pid = cluster.pid(self.daemon) if self.daemon else 0
        return replace(self.fault, nth=random.randint(1, self.latest), seconds=seconds, pid=pid)


def _die(label: str, point: str, spread: float = 0.0, latest: int = 1) -> Case:
    return Case(label, Fault(point), spread, latest)


def _wait(label: str, point: str, action: str, latest: int = 1) -> Case:
    return Case(label, Fault(point, "wait", action=action), latest=latest)


TASKS = [
    _die("open_window: before it fixes the window", "open_window.read"),
    _die("extract: the batch described, nothing read", "extract.begun"),
    _die("extract: in the middle of the rows", "extract.batch", latest=4),
    _die("extract: between two parts' uploads", "extract.upload", latest=2),
    _die("extract: some chunks staged", "extract.chunk", latest=2),
    _die("extract: all staged, before the manifest", "extract.staged"),
    _die("extract: manifest written, before it returns", "extract.recorded"),
    _die("enrich: the old manifest withdrawn", "enrich.begun"),
    _die("enrich: keys leased, no call made", "enrich.leased"),
    _die("enrich: calls in flight", "enrich.calling", latest=20),
    _die("enrich: paid, not yet staged", "enrich.paid", latest=2),
    _die("enrich: paid and staged", "enrich.answers_staged", latest=2),
    _die("enrich: while it settles the usage ledger", "enrich.settling", spread=0.2),
    _die("enrich: before its leases are released", "enrich.releasing"),
    _die("enrich: between its two uploads", "enrich.upload"),
    _die("enrich: all staged, before the manifest", "enrich.staged"),
    _die("enrich: manifest written, before it returns", "enrich.recorded"),
    _die("load_silver: while it fills the quarantine", "silver.quarantine", spread=0.3),
    _die("load_silver: during PUT", "silver.putting", spread=0.05, latest=2),
    _die("load_silver: before COPY", "silver.before_copy"),
    _die("load_silver: during COPY", "silver.copying", spread=0.2),
    _die("load_silver: between COPY and BEGIN", "silver.copied"),
    _die("load_silver: during MERGE", "silver.merging", spread=0.15),
    _die("load_silver: after MERGE, before the ledger", "silver.merged"),
    _die("load_silver: before COMMIT", "silver.recorded"),
    _die("load_silver: after COMMIT", "silver.committed"),
    _die("load_silver: loaded, not recorded", "silver.loaded"),
    _die("load_silver: recorded, before it returns", "silver.applied"),
    _die("write_gold: while it merges look-ups", "cache.merging", spread=0.3),
    _die("write_gold: look-ups merged, not deleted", "cache.merged"),
    _die("write_gold: before the Delta commit", "gold.before"),
    _die("write_gold: during the Delta commit", "gold.merging", spread=0.4),
    _die("write_gold: right after its commit", "gold.merged"),
    _die("write_gold: written, not recorded", "gold.written"),
    _die("write_gold: recorded, before it returns", "gold.applied"),
    _die("commit: before the watermark", "commit.before"),
    _die("commit: after the watermark", "commit.after"),
]
LOG = [
    _die("commit: where the log goes on recorded, the slot as before", "log.recorded"),
    _die("commit: before the slot goes on", "log.advancing"),
    _die("commit: after the slot went on", "log.advanced"),
]
"""Reached with `read: log` only."""
REPLACING = [
    _die("load_silver: between DELETE and INSERT", "silver.replaced"),
    _die("write_gold: during the overwrite", "gold.replacing", spread=0.5),
    _die("write_gold: right after the overwrite", "gold.replaced"),
]
NOT_IN_A_REFRESH = ("erge", "MERGE", "chunks")  # its sinks are replaced, and it reads the table as one chunk
REFRESH = [*(case for case in TASKS if not any(word in case.label for word in NOT_IN_A_REFRESH)), *REPLACING]
SCHEDULER = [
    _wait(f"scheduler {how}: in {task}", point, action)
    for how, action in (("and its tasks", "kill_scheduler"), ("alone", "kill_scheduler_only"))
    for task, point in (
        ("extract", "extract.batch"),
        ("enrich", "enrich.answers_staged"),
        ("load_silver", "silver.merged"),
        ("write_gold", "gold.before"),
    )
]
SERVERS = [
    _wait("Postgres: in the middle of extract", "extract.batch", "crash_postgres", latest=3),
    _wait("Postgres: right after the window was fixed", "open_window.read", "crash_postgres"),
    Case(
        "Snowflake: in the middle of MERGE",
        Fault("silver.merging", "kill", then="start_snowflake"),
        spread=0.05,
        daemon="snowflake",
    ),
    Case(
        "Snowflake: during COPY",
        Fault("silver.copying", "kill", then="start_snowflake"),
        spread=0.1,
        daemon="snowflake",
    ),
    _wait("Snowflake: after MERGE, before COMMIT", "silver.recorded", "crash_snowflake"),
    _wait("S3: in the middle of extract", "extract.upload", "crash_s3"),
    _wait("S3: between data file and log entry", "gold.before", "crash_s3 at the log entry"),
]
NETWORK = [
    _wait("network hangs: Postgres, in extract", "extract.batch", "hang bronze"),
    _wait("network hangs: Google, in enrich", "enrich.calling", "hang google", latest=20),
    _wait("network hangs: S3, in enrich", "enrich.upload", "hang s3"),
    _wait("network hangs: Snowflake, before COPY", "silver.before_copy", "hang silver"),
    _wait("network hangs: S3, before the Delta commit", "gold.before", "hang s3"),
    _wait("network cut: Google, in enrich", "enrich.calling", "cut google", latest=20),
    _wait("network cut: Snowflake, before COMMIT", "silver.recorded", "cut silver"),
    _wait("network cut: S3, before the Delta commit", "gold.before", "cut s3"),
    _wait("network: the answer to Gold's commit is lost", "gold.before", "lose the answer to the log entry"),
    _wait("network: the answer to Silver's COMMIT is lost", "silver.recorded", "lose the answer of silver"),
]
EVERY = [*TASKS, *LOG, *REPLACING, *SCHEDULER, *SERVERS, *NETWORK]


def named(*labels: str) -> list[Case]:
    """Return cases by their labels."""
    found = {case.label: case for case in EVERY}
    return [found[label] for label in labels]
