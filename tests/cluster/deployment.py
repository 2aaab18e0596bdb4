"""How the compose file's services are started and stopped here, in its order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
import requests
from psycopg import sql

from include.sandbox import client, postgres, private, processes
from include.sandbox.processes import Daemon
from tests.chaos.faults import FOLDERS

from . import described
from .cluster import Cluster
from .described import PORTS, ROOT

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2")
CODE = ("dags", "plugins", "include")
CHOSEN = {
    "AIRFLOW_LOST_TASK_SECONDS": "15",
    "AIRFLOW_WORKER_TASKS": "2",
    "ROWS": "3000",
    "AIRFLOW_DAGS_START_PAUSED": "False",
}


@contextmanager
def deployed(state: Path, say: Callable[[str], None], **chosen: str) -> Iterator[Cluster]:
    """Start everything that the compose file names, in its order, with these lines in `.env`; stop it at the end."""
    cluster = _described(state, chosen)
    try:
        _serve(cluster, say)
        say(cluster.run("rows").strip())
        cluster.run("init")
        for instance in AIRFLOW:
            say(f"starting {instance}")
            cluster.start(instance)
            if instance == "api-server":
                processes.wait(Daemon(state, instance), lambda: _health(cluster), seconds=120)
        processes.wait(Daemon(state, "worker-2"), lambda: _all_healthy(cluster), seconds=120)
        yield cluster
    finally:
        for name in (*reversed(AIRFLOW), "sentry", "silver", "s3", "redis"):
            processes.stop(Daemon(state, name), seconds=10)
        for name in ("bronze", "metadata"):
            postgres.stop(state, name)
        postgres.discard(state)


def _described(state: Path, more: Mapping[str, str]) -> Cluster:
    """Fill `.env` as a person does, and let Compose read both files."""
    password = private.secret(state, "postgres")  # of both clusters here
    example = subprocess.run(
        [sys.executable, ROOT / "deploy" / "new_env.py"], capture_output=True, text=True, check=True
    )
    chosen = CHOSEN | more | {"BRONZE_PASSWORD": password, "AIRFLOW_DATABASE_PASSWORD": password}
    file = state / "env"
    file.write_text(
        re.sub(
            r"(?m)^(\w+)=.*$",
            lambda line: f"{line[1]}={chosen[line[1]]}" if line[1] in chosen else line[0],
            example.stdout,
        )
    )
    (state / "chaos").mkdir()
    for name in FOLDERS:
        (state / "chaos" / name).mkdir()
    for name in CODE:
        shutil.copytree(ROOT / name, state / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    pipeline = state / "code" / "include" / "pipelines" / "employees.yaml"
    pipeline.write_text(pipeline.read_text() + "parts: {rows_per_part: 500, max_parts: 6, max_parallel_parts: 4}\n")
    names = {"metadata": "postgres-metadata", "bronze": "postgres-bronze"}
    ports = {name: private.port(state, names.get(name, name)) for name in PORTS}
    return Cluster(state, ports, described.services(file))


def _serve(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Start the servers around Airflow: Postgres from a package in place of its image, the others by their commands."""
    say("starting Postgres (twice), Redis, S3, the Snowflake stand-in and Sentry's")
    state, ports = cluster.state, cluster.ports
    for name, database in (("metadata", "airflow"), ("bronze", "bronze")):
        server = postgres.start(state, name, durable=False)
        postgres.create_database(server, database)
    _role(postgres.start(state, "metadata"), "airflow")
    cluster.serve("redis", lambda: _redis(cluster))
    cluster.serve("s3", lambda: requests.get(f"http://127.0.0.1:{ports['s3']}/healthz", timeout=5).raise_for_status())
    trust = state / "volumes" / "trust" / "ca-bundle.pem"
    login = f"https://127.0.0.1:{ports['silver']}/session/v1/login-request"
    cluster.serve("silver", lambda: requests.post(login, json={"data": {}}, verify=str(trust), timeout=5))
    cluster.serve("sentry", lambda: requests.get(f"http://127.0.0.1:{ports['sentry']}/_events", timeout=5))
    worker = cluster.services["worker"].environment
    given = {k: described.placed(v, ports, {}) for k, v in worker.items()}
    cluster.settings = given | {
        "AIRFLOW_URL": f"http://127.0.0.1:{ports['api-server']}",
        "AIRFLOW_USER": "admin",
        "AIRFLOW_PASSWORD": cluster.services["init"].environment["ADMIN_PASSWORD"],
        "REQUESTS_CA_BUNDLE": str(trust),
    }


def _role(server: postgres.Postgres, name: str) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        words = [sql.Identifier(name), sql.Literal(server.password)]
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(*words))


def _redis(cluster: Cluster) -> None:
    url = described.placed(cluster.services["worker"].environment["AIRFLOW__CELERY__BROKER_URL"], cluster.ports, {})
    redis.Redis.from_url(url).ping()


def _health(cluster: Cluster) -> dict:
    answer = requests.get(f"{cluster.settings['AIRFLOW_URL']}/api/v2/monitor/health", timeout=5)
    answer.raise_for_status()
    return answer.json()


def _all_healthy(cluster: Cluster) -> None:
    health = _health(cluster)
    assert all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer"))
    client.login(cluster.settings)
    for worker in ("worker-1", "worker-2"):
        assert "ready" in Daemon(cluster.state, worker).log.read_text()
