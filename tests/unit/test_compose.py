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
OURS = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
AIRFLOW = {"init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}
SANDBOX = {"bronze", "s3", "silver", "sentry", "rows", "demo"}
NOT_OF_A_CONTAINER = {"MEDALLION_PIPELINES"}  # another folder needs another mount


def resolved(env_file: Path, *arguments: str, wish: str = "config --format json") -> subprocess.CompletedProcess:
    """Let the real Compose resolve the file."""
    command = [COMPOSE, "--env-file", env_file, "-f", ROOT / "docker-compose.yaml", *arguments, *wish.split()]
    return subprocess.run(command, env=OURS, capture_output=True, text=True, check=False)


def services(env_file: Path, *arguments: str) -> dict[str, dict]:
    """Return the services that a start would start."""
    return json.loads(resolved(env_file, *arguments).stdout)["services"]


@pytest.fixture
def filled(tmp_path) -> Path:
    """Write `.env` as `make .env` does."""
    program = [sys.executable, ROOT / "deploy" / "new_env.py"]
    (tmp_path / "env").write_text(subprocess.run(program, capture_output=True, text=True, check=True).stdout)
    return tmp_path / "env"


def names(text: str) -> list[str]:
    """List the settings that an env file sets, also those that it sets in comments."""
    return re.findall(r"(?m)^(?:# )?([A-Z0-9_]+)=", text)


def test_the_filled_example_is_all_that_compose_needs(filled):
    """`make .env` leaves nothing to do: Compose accepts the file, quietly."""
    result = resolved(filled, wish="config -q")
    assert (result.returncode, result.stderr) == (0, "")


def test_every_setting_of_the_example_is_used_and_every_used_one_is_in_it():
    """No setting is without effect, and none is without a line that documents it."""
    text = (ROOT / "docker-compose.yaml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", text)) | set(re.findall(r"(?m)^ +([A-Z0-9_]+):$", text))
    assert used | {"COMPOSE_PROFILES"} == set(names((ROOT / ".env.example").read_text()))


def test_every_setting_that_the_code_reads_reaches_airflow(filled):
    """What core, plugins and DAGs read from the environment is passed on to every Airflow service."""
    files = [file for folder in ("include/medallion", "plugins", "dags") for file in (ROOT / folder).rglob("*.py")]
    read = {name for file in files for name in re.findall(r'environ(?:\.get\(|\[)"(\w+)"', file.read_text())}
    assert {"AWS_URI", "GOOGLE_API_KEY", "SENTRY_DSN", "MEDALLION_SCHEDULE"} <= read
    for name in AIRFLOW:
        assert read - NOT_OF_A_CONTAINER <= set(services(filled)[name]["environment"])


def test_the_example_starts_the_sandbox_and_the_profile_cloud_airflow_only(filled):
    """`docker compose up` is the demo; `--profile cloud` leaves its servers out."""
    assert set(services(filled)) == AIRFLOW | SANDBOX | {"metadata", "redis"}
    assert set(services(filled, "--profile", "cloud")) == AIRFLOW | {"metadata", "redis"}


def test_there_are_two_workers(filled):
    """Celery's work is shared."""
    assert services(filled)["worker"]["scale"] == 2


@pytest.mark.parametrize("name", ["AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD", "AWS_URI"])
def test_compose_refuses_to_start_without_a_secret(filled, name):
    """No password has a default: a missing one is named."""
    filled.write_text(re.sub(rf"(?m)^{name}=.*$", "", filled.read_text()))
    result = resolved(filled)
    assert result.returncode != 0
    assert name in result.stderr


def test_no_secret_has_a_default():
    """Every password in the file comes from `.env`, where the example has none."""
    text, example = (ROOT / "docker-compose.yaml").read_text(), (ROOT / ".env.example").read_text()
    secrets = set(re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY)\w*)", text))
    assert secrets >= {"AIRFLOW_DATABASE_PASSWORD", "REDIS_PASSWORD", "BRONZE_PASSWORD", "SILVER_PASSWORD"}
    assert [s for s in secrets if re.search(rf"\$\{{{s}:?-[^}}]", text)] == []
    assert [s for s in secrets if re.search(rf"(?m)^{s}=.", example)] == []


def test_fresh_secrets_are_fresh(filled):
    """Two files of `make .env` have no secret in common."""
    program = [sys.executable, ROOT / "deploy" / "new_env.py"]
    other = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    empty = re.findall(r"(?m)^(\w+)=$", (ROOT / ".env.example").read_text())
    values = [re.search(rf"(?m)^{name}=(.+)$", text)[1] for name in empty for text in (filled.read_text(), other)]
    assert len(set(values)) == 2 * len(empty)


def test_no_port_is_open_to_other_machines(filled):
    """Every published port is bound to the loopback."""
    published = [port for service in services(filled).values() for port in service.get("ports", [])]
    assert {port["target"] for port in published} >= {8080, 8333}
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_every_airflow_service_finds_the_core(filled):
    """Each service mounts `include/` and has the project's root on its path."""
    found = services(filled)
    for name in AIRFLOW:
        assert found[name]["environment"]["PYTHONPATH"] == "/opt/airflow"
        assert "/opt/airflow/include" in {volume["target"] for volume in found[name]["volumes"]}


def test_what_is_not_set_is_not_passed_on_empty(filled):
    """An AWS setting that is missing in `.env` is unset in the containers: empty, it would hide the machine's role."""
    filled.write_text(re.sub(r"(?m)^AWS_(?!URI).*$", "", filled.read_text()))
    environment = services(filled)["worker"]["environment"]
    assert {k: v for k, v in environment.items() if k.startswith("AWS_") and v is not None} == {
        "AWS_URI": "s3://lake/medallion"
    }


def test_every_lasting_service_is_watched_and_comes_back(filled):
    """Each has a health check and is started again when it ends; what ends by itself is not."""
    found = services(filled)
    once = {name for name, service in found.items() if service["restart"] == "no"}
    assert once == {"init", "rows", "demo"}
    assert {n for n, service in found.items() if "healthcheck" in service} == set(found) - once


def test_a_message_outlives_every_task(filled):
    """Celery's visibility time-out is a day: a longer task would be ended by its second delivery."""
    settings = services(filled)["worker"]["environment"]
    assert settings["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] == "86400"
    assert int(settings["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) >= 60
