"""Pipelines that run when their source changed: the real triggerer notices, and the real scheduler starts the run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import psutil
import psycopg
import pytest
from psycopg import sql

from include.sandbox import airflow, client, processes
from include.sandbox.processes import Daemon

from .deployment import Deployment, Run, wait

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
DAG = """
# a DAG file of Airflow's, for a folder of pipelines with a schedule of their own
import os
os.environ |= {{"MEDALLION_PIPELINES": {folder!r}, "MEDALLION_SCHEDULE": "on_change"}}
import medallion
"""
FILE = """\
source: {{table: {name}, key: id, read: {read}}}
gold: {{table: {name}}}
on_change: {{at_least_every: 1d}}
fresh_within: 1s
"""
POLLS = "query LIKE '-- What a source says of a table%' AND pid <> pg_backend_pid()"
WAYS = {"by_xmin": "xmin", "by_log": "log"}


@pytest.fixture(scope="module")
def watched(deployment: Deployment):
    """Make a table and a pipeline for each way of reading; let their first runs end."""
    folder, file = deployment.project / "watched", deployment.project / "dags" / "watched.py"
    folder.mkdir()
    for name, read in WAYS.items():
        deployment.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, n int)")
        deployment.sql(f"CREATE PUBLICATION medallion_{name} FOR TABLE {name}")
        deployment.sql(f"INSERT INTO {name} VALUES (1, 1)")
        (folder / f"{name}.yaml").write_text(FILE.format(name=name, read=read))
    file.write_text(DAG.format(folder=str(folder)))
    api = client.login(deployment.settings)
    try:
        for name in WAYS:
            client.await_dag(api, f"medallion_{name}", deployment.project)
            wait(lambda: arrived(deployment, name) == {1: 1}, 90)  # noqa: B023 (called before the next)
            wait(lambda: is_idle(api, name), 90)  # noqa: B023
        yield api
    finally:
        file.unlink(missing_ok=True)
        (deployment.project / "include" / "pipelines" / "by_log.yaml").unlink(missing_ok=True)
        for name in WAYS:
            api.call("PATCH", f"dags/medallion_{name}", json={"is_paused": True})


def arrived(deployment: Deployment, table: str) -> dict[int, int]:
    """Return Gold's rows that live."""
    found = deployment.table(table)
    rows = found.to_pyarrow_table().to_pylist() if found else []
    return {row["id"]: row["n"] for row in rows if row["_deleted_at"] is None}


def slot(deployment: Deployment) -> tuple | None:
    """Return the name and position of the slot of the pipeline that reads the log; None if there is none."""
    found = deployment.sql(
        "SELECT slot_name, confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name LIKE '%by_log'"
    )
    return found[0] if found else None


def runs(api: client.Api, name: str) -> list[str]:
    """Return the states of a pipeline's runs."""
    return [run["state"] for run in api.call("GET", f"dags/medallion_{name}/dagRuns")["dag_runs"]]


def is_idle(api: client.Api, name: str) -> bool:
    """Whether a pipeline has run and does not run now."""
    return bool(states := runs(api, name)) and {*states} <= {*client.ENDED}


def rows_of_airflow(deployment: Deployment) -> dict[str, int]:
    """Count the rows of all of Airflow's tables."""
    dsn = deployment.settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:")
    with psycopg.connect(dsn) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        count = sql.SQL("SELECT count(*) FROM {}")
        return {name: connection.execute(count.format(sql.Identifier(name))).fetchone()[0] for (name,) in names}


def polled(deployment: Deployment, times: int) -> Callable[[], bool]:
    """Return a function that says whether all watchers have polled so many times since now."""
    moments: dict[int, set] = {}

    def said() -> bool:
        for pid, moment in deployment.sql(f"SELECT pid, query_start FROM pg_stat_activity WHERE {POLLS}"):
            moments.setdefault(pid, set()).add(moment)
        return len(moments) >= len(WAYS) and all(len(seen) > times for seen in moments.values())

    return said


def test_changes_start_runs_and_nothing_else_does(deployment, watched):
    """
    A row arrives in Gold by itself; a quiet source starts no run and adds no row to any of Airflow's tables.

    Nor does a lost connection, which misses nothing either.
    """
    for name in WAYS:
        begun = time.monotonic()
        deployment.sql(f"INSERT INTO {name} VALUES (2, 2)")
        wait(lambda: arrived(deployment, name) == {1: 1, 2: 2}, 90, every=0.05)  # noqa: B023 (called before the next)
        print(f"{name}: a row arrived after {time.monotonic() - begun:.1f} s")
        wait(lambda: is_idle(watched, name), 60)  # noqa: B023
    before, ran = rows_of_airflow(deployment), {name: runs(watched, name) for name in WAYS}
    wait(polled(deployment, 5))
    assert rows_of_airflow(deployment) == before
    lost = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {POLLS}"
    assert len(deployment.sql(lost)) == len(WAYS)
    deployment.sql("DELETE FROM by_log WHERE id = 1")
    wait(lambda: arrived(deployment, "by_log") == {2: 2}, 90)
    wait(lambda: is_idle(watched, "by_log"), 60)
    assert runs(watched, "by_xmin") == ran["by_xmin"]
    assert len(runs(watched, "by_log")) == len(ran["by_log"]) + 1
    (missed,) = wait(lambda: [*deployment.issues("by_log").values()])
    assert missed[0]["message"] == "medallion_by_log: deadline missed"


def test_a_killed_triggerer_misses_nothing(deployment, watched):
    """What changes while no triggerer runs starts a run as soon as another one has taken its triggers over."""
    killed = processes.running(Daemon(deployment.state, "airflow-triggerer"))
    family = [killed, *killed.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family)
    for name in WAYS:
        deployment.sql(f"INSERT INTO {name} VALUES (5, 5)")
    airflow.start(deployment.state, deployment.settings)
    for name in WAYS:
        wait(lambda: arrived(deployment, name).get(5) == 5, 180)  # noqa: B023 (called before the next)
        wait(lambda: is_idle(watched, name), 60)  # noqa: B023


def test_maintenance_drops_the_slot_of_a_paused_pipeline(deployment, watched):
    """Until then each run lets the slot go on; a DAG that is paused would keep the source's log for ever."""
    at = slot(deployment)
    deployment.sql("UPDATE by_log SET n = 3")
    wait(lambda: {*arrived(deployment, "by_log").values()} == {3}, 90)
    wait(lambda: is_idle(watched, "by_log"), 60)
    assert slot(deployment)[1] > at[1]
    watched.call("PATCH", "dags/medallion_by_log", json={"is_paused": True})
    (deployment.project / "dags" / "watched.py").unlink()
    shutil.copy(deployment.project / "watched" / "by_log.yaml", deployment.project / "include" / "pipelines")
    client.await_dag(watched, "medallion_maintenance", deployment.project)
    run = Run(
        watched, "medallion_maintenance", client.trigger(watched, "medallion_maintenance", {"pipeline": "by_log"})
    )
    assert run.ended().state == "success"
    assert slot(deployment) is None
