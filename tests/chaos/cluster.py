"""The deployment that faults are injected into: what can be asked of it, and done to it."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import psutil
import psycopg

from include.medallion.lake.object_store import Lake, open_lake
from include.sandbox import airflow, client, postgres, private, processes, s3, snowflake
from include.sandbox.google import Google
from include.sandbox.postgres import Postgres
from include.sandbox.processes import Daemon
from include.sandbox.snowflake import Snowflake

from .faults import FaultInjector
from .proxy import Proxy

DAG = "medallion_chaos"
LOG_ENTRY = rb"PUT \S*/chaos/_delta_log/\d{20}\.json"


@dataclass
class Cluster:
    """A running deployment: Airflow and all servers, each behind a proxy."""

    state: Path
    google: Google
    proxies: dict[str, Proxy]
    settings: dict[str, str] = field(default_factory=dict)
    faults: FaultInjector | None = None
    orphans: Thread | None = None
    runs: int = 0
    last: str = ""  # the id of the last run
    restores: Counter[str] = field(default_factory=Counter)  # by sink

    @property
    def bronze(self) -> Postgres:
        """The source, not through its proxy."""
        return Postgres("127.0.0.1", self.proxies["bronze"].target, "postgres", private.secret(self.state, "postgres"))

    @property
    def dsn(self) -> str:
        """The source, for the workload and the oracle."""
        return self.bronze.uri("bronze")

    @property
    def silver(self) -> Snowflake:
        """The Snowflake stand-in, not through its proxy."""
        port, bundle = self.proxies["silver"].target, (self.state / "snowflake" / "ca-bundle.pem").resolve()
        return Snowflake(port=port, password=private.secret(self.state, snowflake.NAME), bundle=bundle)

    @property
    def lake(self) -> Lake:
        """The lake, not through its proxy."""
        options = {k: v for k, v in self.settings.items() if k.startswith("AWS_") and k != "AWS_URI"}
        options["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{self.proxies['s3'].target}"
        return open_lake(self.settings["AWS_URI"], options)

    def pid(self, name: str) -> int:
        """Return the process of one of the sandbox's daemons."""
        return processes.running(Daemon(self.state, name)).pid

    def run(self, seconds: float = 900, **params: object) -> str:
        """Trigger a run and wait for its end; return how it ended."""
        api, deadline = client.login(self.settings), time.monotonic() + seconds
        self.runs, self.last = self.runs + 1, client.trigger(api, DAG, params)
        while (state := api.call("GET", f"dags/{DAG}/dagRuns/{self.last}")["state"]) not in client.ENDED:
            assert time.monotonic() < deadline, f"run {self.last} has not ended after {seconds:.0f} s"
            time.sleep(0.25)
        if state == "failed":
            for line in client.failures(api, DAG, self.last):
                print(line)
        return state

    def touch(self) -> None:
        """Write a row, so that the next run applies a batch to both sinks."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("UPDATE chaos SET n = nextval('chaos_n') WHERE id = 1")

    def loaded(self) -> bool:
        """Return whether the last run found something new."""
        tasks = client.tasks(client.login(self.settings), DAG, self.last)
        return any(t["task_id"] == "commit" and t["state"] != "skipped" for t in tasks)

    def crash_postgres(self) -> None:
        """Kill the source as a power cut does, and start it again."""
        _kill_tree(self.pid("postgres-bronze"))
        self.proxies["bronze"].target = postgres.start(self.state, "bronze").port

    def start_snowflake(self) -> None:
        """Start the Snowflake stand-in after it was killed."""
        until(lambda: processes.running(Daemon(self.state, snowflake.NAME)) is None)
        # it may get another port while the dead process still holds the old one
        self.proxies["silver"].target = snowflake.start(self.state).port

    def crash_snowflake(self) -> None:
        """Kill the Snowflake stand-in, and start it again."""
        _kill_tree(self.pid(snowflake.NAME))
        self.start_snowflake()

    def crash_s3(self) -> None:
        """Kill the S3 server; start it again a second later."""
        _kill_tree(self.pid(s3.NAME))
        time.sleep(1)
        self.proxies["s3"].target = urlsplit(s3.start(self.state).endpoint).port

    def kill_scheduler(self) -> None:
        """Kill the scheduler with its workers and the tasks they run, and start it again."""
        _kill_tree(self.pid("airflow-scheduler"))
        airflow.start(self.state, self.settings)

    def kill_scheduler_only(self) -> None:
        """Kill the scheduler only; its tasks continue, unknown to the scheduler that is started next."""
        scheduler = psutil.Process(self.pid("airflow-scheduler"))
        workers = [child for child in scheduler.children() if "LocalExecutor" in " ".join(child.cmdline())]
        for process in {*scheduler.children(), scheduler} - set(workers):
            process.kill()
        psutil.wait_procs([scheduler], timeout=5)
        self.orphans = Thread(target=_end_idle, args=(workers,), daemon=True)
        self.orphans.start()
        airflow.start(self.state, self.settings)

    def end_orphans(self) -> None:
        """Wait until the last task of a scheduler that was killed alone has ended."""
        if self.orphans:
            self.orphans.join(60)


def actions(cluster: Cluster) -> dict[str, Callable[[], None]]:
    """Return the actions that faults may name."""
    hang = {f"hang {name}": lambda proxy=proxy: proxy.hang(5) for name, proxy in cluster.proxies.items()}
    cut = {f"cut {name}": proxy.cut for name, proxy in cluster.proxies.items()}
    names = (
        "crash_postgres",
        "start_snowflake",
        "crash_snowflake",
        "crash_s3",
        "kill_scheduler",
        "kill_scheduler_only",
    )
    return {
        **hang,
        **cut,
        **{name: getattr(cluster, name) for name in names},
        "crash_s3 at the log entry": lambda: cluster.proxies["s3"].on(LOG_ENTRY, cluster.crash_s3),
        "lose the answer to the log entry": lambda: cluster.proxies["s3"].on(LOG_ENTRY, None),
        "lose the answer of silver": lambda: cluster.proxies["silver"].on(b"", None),
    }


def _end_idle(workers: list[psutil.Process]) -> None:
    """End a killed scheduler's workers, each after its task: they hold its database connections, and so its locks."""
    while workers:
        for worker in workers[:]:
            with suppress(psutil.NoSuchProcess):
                if worker.children():
                    continue
                worker.kill()
            workers.remove(worker)
        time.sleep(0.1)


def _kill_tree(pid: int) -> None:
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def until(what: Callable[[], object], seconds: float = 30) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.02)
