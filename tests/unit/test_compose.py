"""The Compose file, its example of settings and the code that reads them stay in step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).parent / "docker-compose"
NOT_OURS = {"PATH", "HOME"}


def configured(env_file: Path) -> subprocess.CompletedProcess:
    """Let the real Compose resolve the file."""
    return subprocess.run(
        [COMPOSE, "--env-file", env_file, "-f", ROOT / "docker-compose.yaml", "config", "--format", "json"],
        env={name: os.environ[name] for name in NOT_OURS if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def example(tmp_path: Path, *, without: str | None = None) -> Path:
    """Write `.env.example` with every empty value filled."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if re.match(r"[A-Z_]+=", line)]
    file = tmp_path / "env"
    file.write_text("".join(f"{n}={8080 if n == 'AIRFLOW_PORT' else 'filled'}\n" for n in names if n != without))
    return file


def test_the_example_of_settings_is_all_that_compose_needs(tmp_path):
    """With `.env.example` filled in, Compose accepts the file, and every setting in it is used."""
    result = configured(example(tmp_path))
    assert result.returncode == 0, result.stderr
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yaml").read_text()))
    assert used == set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD", "AWS_URI"])
def test_compose_refuses_to_start_without_a_secret(tmp_path, name):
    """No password has a default: a missing one is named."""
    result = configured(example(tmp_path, without=name))
    assert result.returncode != 0
    assert name in result.stderr


def test_no_port_is_open_to_other_machines(tmp_path):
    """Every published port is bound to the loopback."""
    services = json.loads(configured(example(tmp_path)).stdout)["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_every_airflow_service_finds_the_core(tmp_path):
    """Each service mounts `include/` and has the project's root on its path."""
    services = json.loads(configured(example(tmp_path)).stdout)["services"]
    for name in ("init", "api-server", "scheduler", "dag-processor", "triggerer"):
        assert services[name]["environment"]["PYTHONPATH"] == "/opt/airflow"
        assert "/opt/airflow/include" in {volume["target"] for volume in services[name]["volumes"]}
