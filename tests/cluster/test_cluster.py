"""The pipeline on Celery: two workers that share nothing, and one that dies in the middle."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
from deltalake import DeltaTable

from include.sandbox import client
from include.sandbox.containers import servers
from tests.chaos.rig import until

from .cluster import Cluster, deployed

DAG = "medallion_employees"
SOURCE = (
    "id, first_name, last_name, job_title_id, department_id, gender_id, address, postcode, city_id, email, "
    "employment_start"
)
SHARED = [*SOURCE.split(", "), "_version"]
ADDED = ["latitude", "longitude", "geocode_status", "_batch_id"]
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start everything."""
    with deployed(tmp_path_factory.mktemp("cluster"), print) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", cluster.settings["REQUESTS_CA_BUNDLE"])
        yield cluster


def test_compose_up_does_what_the_demo_does(cluster):
    """The service `demo` runs the pipeline on both workers; source, Silver and Gold are equal by value."""
    print(told := cluster.run("demo"))
    assert f"{DAG}: success" in told
    assert compare(cluster) == 3000
    workers = {worker for worker in ("worker-1", "worker-2") if _tasks_of(cluster, worker)}
    assert workers == {"worker-1", "worker-2"}


@pytest.mark.parametrize(
    ("point", "task"), [("extract.batch", "extract"), ("silver.merged", "load_silver"), ("gold.merged", "write_gold")]
)
def test_a_worker_that_dies_in_the_middle_loses_and_doubles_nothing(cluster, point, task):
    """All processes of the worker that holds a task are killed: the run completes on the other, on the second try."""
    with psycopg.connect(cluster.bronze.dsn("bronze")) as connection:
        connection.execute("UPDATE employees SET last_name = last_name || '!' WHERE id % 3 = 0")
        connection.execute(
            "INSERT INTO employees (first_name, postcode) SELECT 'new', '98052' FROM generate_series(1, 50)"
        )
    order = cluster.state / "chaos" / "orders" / f"{point}~{task}"
    order.write_text(json.dumps({"how": "call", "nth": 1, "seconds": 0, "pid": 0}))
    api = client.login(cluster.settings)
    run_id = client.trigger(api, DAG, {})
    until((cluster.state / "chaos" / "struck" / order.name).exists, 120)
    lost = _worker_of(cluster, next(t["pid"] for t in client.tasks(api, DAG, run_id) if t["task_id"] == task))
    print(f"{task} waits at {point} on {lost}: killed with all its processes")
    cluster.kill(lost)
    assert client.watch(api, DAG, run_id, print, seconds=300) == "success"
    struck = next(t for t in client.tasks(api, DAG, run_id) if t["task_id"] == task)
    print(f"{task} succeeded on try {struck['try_number']} on the other worker; rows compared: {compare(cluster):,}")
    assert struck["try_number"] == 2
    cluster.start(lost)


def compare(cluster: Cluster) -> int:
    """Assert that source, Silver and Gold hold the same rows, and Silver and Gold the same columns; return how many."""
    there = servers(cluster.settings)
    with psycopg.connect(there.bronze.dsn("bronze")) as connection:
        source = sorted(connection.execute(f"SELECT {SOURCE}, xmin::text::bigint FROM employees").fetchall())
    with closing(there.silver.connect()) as connection:
        cursor = connection.cursor().execute(f"SELECT {', '.join([*SHARED, *ADDED])} FROM employees_enriched")
        silver = sorted(map(tuple, cursor.fetchall()), key=lambda row: row[0])
    options = {k: v for k, v in cluster.settings.items() if k.startswith("AWS_") and k != "AWS_URI"}
    table = DeltaTable(f"{cluster.settings['AWS_URI']}/employees_enriched", storage_options=options).to_pyarrow_table()
    gold = sorted((tuple(row.values()) for row in table.select([*SHARED, *ADDED]).to_pylist()), key=lambda row: row[0])
    assert [row[: len(SHARED)] for row in gold] == source
    assert silver == gold
    return len(source)


def _worker_of(cluster: Cluster, pid: int) -> str:
    """Return the worker that a task's process descends from."""
    above = {process.pid for process in psutil.Process(pid).parents()}
    return next(worker for worker in ("worker-1", "worker-2") if cluster.pid(worker) in above)


def _tasks_of(cluster: Cluster, worker: str) -> list[Path]:
    """Return the logs of the tasks that ran on a worker: its own disk has them."""
    return list((cluster.home(worker) / "logs").rglob(f"dag_id={DAG}/**/*.log"))
