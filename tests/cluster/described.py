"""The compose file as the real Compose resolves it, and what a container would have given each service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).parent / "docker-compose"
PORTS = {
    "metadata": 5432,
    "redis": 6379,
    "api-server": 8080,
    "bronze": 5432,
    "s3": 8333,
    "silver": 8085,
    "sentry": 9000,
}
"""Where each service listens in its container."""


@dataclass(frozen=True)
class Service:
    """One service: what it runs, with which settings, what is mounted where, and how its health is asked for."""

    name: str
    command: list[str]
    environment: dict[str, str]
    mounts: dict[str, str]
    image: str
    health: list[str]


def services(env_file: Path, *arguments: str) -> dict[str, Service]:
    """Let Compose resolve the file; nothing of the caller's environment is let in."""
    command = [COMPOSE, "--env-file", env_file, "-f", ROOT / "docker-compose.yaml", *arguments]
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run([*command, "config", "--format", "json"], env=clean, capture_output=True, check=True)
    return {name: _service(name, found) for name, found in json.loads(done.stdout)["services"].items()}


def _service(name: str, found: Mapping) -> Service:
    # Compose writes its own escape of a dollar again
    command = [part.replace("$$", "$") for part in found.get("command") or []]
    settings = {k: str(v).replace("$$", "$") for k, v in found.get("environment", {}).items() if v is not None}
    mounts = {mount["target"]: mount["source"] for mount in found.get("volumes", [])}
    health = [part.replace("$$", "$") for part in found.get("healthcheck", {}).get("test", [])]
    return Service(name, command, settings, mounts, found.get("image", ""), health)


def placed(text: str, ports: Mapping[str, int], folders: Mapping[str, Path]) -> str:
    """Return a setting or an argument with the containers' hosts and folders replaced by those of this machine."""
    for host, port in PORTS.items():
        text = text.replace(f"@{host}:{port}", f"@127.0.0.1:{ports[host]}")
        text = text.replace(f"//{host}:{port}", f"//127.0.0.1:{ports[host]}")
        text = text.replace(f'"host":"{host}","port":{port}', f'"host":"127.0.0.1","port":{ports[host]}')
    for target in sorted(folders, key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.:]){re.escape(target)}(?=[/\s\"]|$)", str(folders[target]), text)
    return text


def listening(command: list[str], name: str, port: int) -> list[str]:
    """Return a server's command with its own port exchanged, on the loopback only."""
    own = rf"(?<!\d){PORTS[name]}(?!\d)"
    return [re.sub(own, str(port), part).replace("0.0.0.0", "127.0.0.1") for part in command]
