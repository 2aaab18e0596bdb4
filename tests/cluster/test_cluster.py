"""The pipeline on Celery: two workers that share nothing, one of which dies in the middle of a task."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import medallion_metrics
import psutil
import psycopg
import pytest
from deltalake import DeltaTable

from include.medallion.config.connections import read_connection
from include.sandbox import client
from include.sandbox.containers import bronze
from include.sandbox.snowflake import Snowflake
from tests.chaos.cluster import until

from .cluster import Cluster
from .deployment import deployed

DAG, MAINTENANCE = "medallion_employees", "medallion_maintenance"
SOURCE = (
    "id, first_name, last_name, job_title_id, department_id, gender_id, address, postcode, city_id, email, "
    "employment_start"
)
SHARED = [*SOURCE.split(", "), "_version"]
ADDED = ["latitude", "longitude", "geocode_status", "_batch_id"]
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]


@pytest.fixture(scope="module")
def statsd() -> Iterator[socket.socket]:
    """Listen as a StatsD server does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, statsd):
    """Start everything."""
    metrics = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(statsd.getsockname()[1])}
    state = tmp_path_factory.mktemp("cluster")
    with deployed(state, print, **metrics) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", cluster.settings["REQUESTS_CA_BUNDLE"])
        yield cluster


def test_compose_up_does_what_the_demo_does(cluster):
    """The service `demo` runs the pipeline on both workers; source, Silver and Gold are equal by value."""
    print(output := cluster.run("demo"))
    assert f"{DAG}: success" in output
    assert compare(cluster) == 3000
    workers = {worker: len(_tasks_of(cluster, worker)) for worker in ("worker-1", "worker-2")}
    print(f"tasks by worker: {workers}")
    assert all(workers.values())


@pytest.mark.parametrize(
    "instance", ["api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "silver", "sentry"]
)
def test_a_running_service_is_healthy(cluster, instance):
    """The health check that the compose file names succeeds."""
    asked = cluster.health(instance)
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_the_numbers_of_the_run_reached_statsd(cluster, statsd):
    """The metrics that a worker's task sends arrive at the server that `.env` names."""
    lines = [line for line in _received(statsd) if ".medallion.employees." in line]
    names = {line.partition(":")[0].removeprefix("airflow.medallion.employees.") for line in lines}
    not_of_this_run = {"conflicts", "log_bytes"}  # the pipeline reads by transaction id
    assert names == set(medallion_metrics.COUNTERS | medallion_metrics.GAUGES) - not_of_this_run
    assert "airflow.medallion.employees.rows_read:3000|c" in lines


@pytest.mark.parametrize(
    ("point", "task"), [("extract.batch", "extract"), ("silver.merged", "load_silver"), ("gold.merged", "write_gold")]
)
def test_a_worker_that_dies_in_the_middle_loses_and_doubles_nothing(cluster, point, task):
    """All processes of the worker that holds a task are killed: the run completes on the other."""
    change(cluster)
    fault = hold(cluster, point)
    api = client.login(cluster.settings)
    run_id = client.trigger(api, DAG, {})
    until((cluster.state / "chaos" / "taken" / fault).exists, 120)
    lost = _worker_of(cluster, next(t["pid"] for t in client.tasks(api, DAG, run_id) if t["task_id"] == task))
    print(f"{task} waits at {point} on {lost}: killed with all its processes")
    cluster.kill(lost)
    assert client.watch(api, DAG, run_id, print, seconds=300) == "success"
    retried = next(t for t in client.tasks(api, DAG, run_id) if t["task_id"] == task)
    print(f"{task} succeeded on try {retried['try_number']} on the other worker; rows compared: {compare(cluster):,}")
    assert retried["try_number"] >= 2  # Silver's second try may meet the lock of the dead one's transaction
    cluster.start(lost)


def test_maintenance_waits_while_a_run_writes_and_then_does_its_work(cluster):
    """While `write_gold` runs the nightly DAG waits; then it maintains what all runs left, and changes no row."""
    change(cluster)
    fault, api = hold(cluster, "gold.before"), client.login(cluster.settings)
    client.await_dag(api, MAINTENANCE, cluster.home("dag-processor"))
    writing = client.trigger(api, DAG, {})
    until((cluster.state / "chaos" / "taken" / fault).exists, 120)
    maintaining = client.trigger(api, MAINTENANCE, {})
    until(lambda: states(api, MAINTENANCE, maintaining).get("pipeline.idle[0]") == "up_for_reschedule", 60)
    assert states(api, MAINTENANCE, maintaining).get("pipeline.maintain[0]") in client.QUIET
    (cluster.state / "chaos" / "done" / fault).touch()
    assert client.watch(api, DAG, writing, print, seconds=120) == "success"
    assert client.watch(api, MAINTENANCE, maintaining, print, seconds=240) == "success"
    assert set(states(api, MAINTENANCE, maintaining).values()) == {"success"}
    assert compare(cluster) > 3000


def change(cluster: Cluster) -> None:
    """Change a third of the rows, and add some."""
    with psycopg.connect(cluster.bronze.dsn("bronze")) as connection:
        connection.execute("UPDATE employees SET last_name = last_name || '!' WHERE id % 3 = 0")
        connection.execute(
            "INSERT INTO employees (first_name, postcode) SELECT 'new', '98052' FROM generate_series(1, 50)"
        )


def hold(cluster: Cluster, point: str) -> str:
    """Let the first task that reaches a point of the chaos run wait there; return the fault's name."""
    name = f"{point}~cluster"
    (cluster.state / "chaos" / "faults" / name).write_text(
        json.dumps({"how": "wait", "nth": 1, "seconds": 0, "pid": 0})
    )
    return name


def states(api: client.Api, dag_id: str, run_id: str) -> dict[str, str | None]:
    """Return the states of a run's tasks."""
    return {client.name(task): task["state"] for task in client.tasks(api, dag_id, run_id)}


def compare(cluster: Cluster) -> int:
    """Assert that source, Silver and Gold hold the same rows, and Silver and Gold the same columns; return how many."""
    server, database = bronze(cluster.settings)
    with psycopg.connect(server.dsn(database)) as connection:
        source = sorted(connection.execute(f"SELECT {SOURCE}, xmin::text::bigint FROM employees").fetchall())
    with closing(silver_account(cluster.settings).connect()) as connection:
        cursor = connection.cursor().execute(f"SELECT {', '.join([*SHARED, *ADDED])} FROM employees_enriched")
        silver = sorted(map(tuple, cursor.fetchall()), key=lambda row: row[0])
    options = {k: v for k, v in cluster.settings.items() if k.startswith("AWS_") and k != "AWS_URI"}
    table = DeltaTable(f"{cluster.settings['AWS_URI']}/employees_enriched", storage_options=options).to_pyarrow_table()
    gold = sorted((tuple(row.values()) for row in table.select([*SHARED, *ADDED]).to_pylist()), key=lambda row: row[0])
    assert [row[: len(SHARED)] for row in gold] == source
    assert silver == gold
    return len(source)


def silver_account(environ: Mapping[str, str]) -> Snowflake:
    """Return the Snowflake stand-in as the settings of Airflow's services name it."""
    given = read_connection("silver", environ)
    bundle = Path(environ["REQUESTS_CA_BUNDLE"])
    return Snowflake(int(given.extra["port"]), given.password, bundle, str(given.extra["host"]), given.login)


def _received(server: socket.socket) -> Iterator[str]:
    """Yield the lines that wait to be read."""
    with suppress(BlockingIOError):
        while True:
            yield from server.recv(65_536).decode().splitlines()


def _worker_of(cluster: Cluster, pid: int) -> str:
    """Return the worker that a task's process descends from."""
    above = {process.pid for process in psutil.Process(pid).parents()}
    return next(worker for worker in ("worker-1", "worker-2") if cluster.pid(worker) in above)


def _tasks_of(cluster: Cluster, worker: str) -> list[Path]:
    """Return the logs of the tasks that ran on a worker: its own disk has them."""
    return list((cluster.home(worker) / "logs").rglob(f"dag_id={DAG}/**/*.log"))
