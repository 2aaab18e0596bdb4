"""Source and sinks are reached by connections that AWS Secrets Manager holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
READ_AND_ASK = """
import medallion_connections as connections, psycopg
from contextlib import closing
print(psycopg.connect(connections.bronze("bronze")).execute("SELECT 'bronze'").fetchone()[0])
with closing(connections.snowflake("silver")) as silver:
    print(silver.cursor().execute("SELECT 'silver'").fetchone()[0])
"""


@pytest.fixture
def manager() -> Iterator[str]:
    """Start a Secrets Manager; yields its address."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def ask(manager: str) -> subprocess.CompletedProcess:
    """Reach both in a process that has no connection of its own, but Airflow's setting of the backend."""
    backend = {
        "AIRFLOW__SECRETS__BACKEND": "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(
            {"connections_prefix": "airflow/connections", "endpoint_url": manager, "region_name": "us-east-1"}
        ),
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_CONN_")} | KEYS | backend
    environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    command = [sys.executable, "-c", READ_AND_ASK]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_connections_come_from_secrets_manager(manager, bronze_dsn, silver):
    """Each secret holds a connection in Airflow's JSON or as an address; without them neither is reached."""
    assert "Airflow has no connection bronze" in ask(manager).stderr
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=manager,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    secrets.create_secret(Name="airflow/connections/bronze", SecretString=bronze_dsn)
    secrets.create_secret(Name="airflow/connections/silver", SecretString=silver.airflow())
    result = ask(manager)
    assert {"bronze", "silver"} <= set(result.stdout.splitlines()), result.stderr
