"""The real Airflow: its settings, its four components, and how they start and stop."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import psycopg
import requests

from include.sandbox import private, processes
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.processes import Daemon
from include.sandbox.settings import process_environment

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
# Airflow's log servers listen on all interfaces, which no setting changes. They are for logs on other machines;
# here the api-server reads all logs from the disk
OPTIONS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}
ROOT = Path(__file__).parents[2]
USER = "admin"
DATABASE = "airflow"


def settings(state: Path, metadata: Postgres) -> dict[str, str]:
    """Return the settings that all components and clients share."""
    home = (state / "airflow").resolve()
    ours = running(state)
    ports = {name: private.port(state, f"airflow-{name}", busy_is_ours=ours) for name in ("api", "logs", "triggers")}
    url = f"http://127.0.0.1:{ports['api']}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_URL": url,
        "AIRFLOW_USER": USER,
        "AIRFLOW_PASSWORD": private.secret(state, "airflow"),
        # the project's root is on no path by default
        "PYTHONPATH": str(ROOT),
        # as in the image; other builds of pyarrow may lack it, and say so
        **({"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports["api"]),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.uri(DATABASE).replace("postgresql:", "postgresql+psycopg2:"),
        # nothing listens there; the default ports may be those of another Airflow
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports["logs"]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports["triggers"]),
        **_keys(state),
        **_choices(),
    }


def prepare(environment: Mapping[str, str], metadata: Postgres) -> None:
    """Bring the metadata database to this version of Airflow; at once if it is there already."""
    home = Path(environment["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    private.write(home / "passwords.json", json.dumps({USER: environment["AIRFLOW_PASSWORD"]}))
    done = f"{version('apache-airflow-core')} in {_cluster(metadata)}"
    marker = home / "migrated"
    if marker.exists() and marker.read_text() == done:
        return
    result = subprocess.run(
        [*_command("db"), "migrate"],
        check=False,
        env=process_environment(environment),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise SandboxError(f"`airflow db migrate` failed:\n{result.stdout[-3000:]}")
    marker.write_text(done)


def start(state: Path, environment: Mapping[str, str]) -> None:
    """Start what is not running of the four components and wait until all report health."""
    for component in COMPONENTS:
        daemon = Daemon(state, f"airflow-{component}")
        if processes.running(daemon) is None:
            home = Path(environment["AIRFLOW_HOME"])
            processes.spawn(daemon, _command(component), env=process_environment(environment), cwd=home)
    for component in COMPONENTS:
        processes.wait(
            Daemon(state, f"airflow-{component}"),
            lambda: _healthy(environment["AIRFLOW_URL"], component),  # noqa: B023 (called before the next)
            seconds=180,
            every=0.25,
        )


def stop(state: Path) -> None:
    """Stop the components and running tasks: last the api-server, which the others report to."""
    last, *others = (Daemon(state, f"airflow-{component}") for component in COMPONENTS)
    with ThreadPoolExecutor() as pool:
        for stopped in [pool.submit(processes.stop, daemon, seconds=10) for daemon in others]:
            stopped.result()
    processes.stop(last, seconds=10)


def running(state: Path) -> bool:
    """Return whether any of the components runs."""
    return any(processes.running(Daemon(state, f"airflow-{component}")) for component in COMPONENTS)


def _healthy(url: str, component: str) -> None:
    health = requests.get(f"{url}/api/v2/monitor/health", timeout=5).json()
    status = health.get(component.replace("-", "_"), {}).get("status")
    if component == "api-server":
        # the side that tasks talk to is built at its first request, for seconds: not while the first run waits
        requests.get(f"{url}/execution/health", timeout=30).raise_for_status()
    elif status != "healthy":
        raise SandboxError(f"health is {status}")


def _command(part: str) -> list[str]:
    return [sys.executable, "-m", "airflow", part, *OPTIONS.get(part, ())]


def _cluster(metadata: Postgres) -> str:
    """Return the identity of a cluster; one that was created in its place has another."""
    with psycopg.connect(metadata.dsn(DATABASE)) as connection:
        return str(connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()[0])


def _keys(state: Path) -> dict[str, str]:
    """Return what the components recognise each other by, the same at each start."""
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": hashlib.sha512(private.secret(state, "jwt").encode()).hexdigest(),
        "AIRFLOW__API__SECRET_KEY": private.secret(state, "api"),
        "AIRFLOW__CORE__FERNET_KEY": private.secret(state, "fernet") + "=",
    }


def _choices() -> dict[str, str]:
    """Return what is chosen for one small machine, with a person waiting in front of it."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        # an edited DAG runs as it is now, not as it was half a minute ago
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__SENTRY__SENTRY_ON": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
