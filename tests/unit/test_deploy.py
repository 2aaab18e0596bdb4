"""The files of deploy/ agree with one another, with the code and with what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {
    "executor": str,
    "airflowVersion": str,
    "images.airflow.repository": str,
    "images.airflow.tag": str,
    "dags.persistence.enabled": bool,
    "dags.gitSync.enabled": bool,
    "env": list,
    "secret": list,
    "fernetKeySecretName": str,
    "apiSecretKeySecretName": str,
    "jwtSecretName": str,
    "postgresql.enabled": bool,
    "data.metadataSecretName": str,
    "pgbouncer.enabled": bool,
    "redis.enabled": bool,
    "redis.passwordSecretName": str,
    "webserver.defaultUser.enabled": bool,
    "config": dict,
    "workers.resources": dict,
    "workers.serviceAccount.annotations": dict,
    "workers.terminationGracePeriodSeconds": int,
    "workers.persistence.enabled": bool,
    "workers.keda.enabled": bool,
    "workers.keda.minReplicaCount": int,
    "workers.keda.maxReplicaCount": int,
    "workers.keda.pollingInterval": int,
    "workers.keda.cooldownPeriod": int,
    "scheduler.resources": dict,
    "apiServer.resources": dict,
    "dagProcessor.enabled": bool,
    "dagProcessor.resources": dict,
    "triggerer.resources": dict,
    "statsd.enabled": bool,
    "statsd.extraMappings": list,
}
"""What of the chart is used, with its type, as far as it is known (docs/deployment.md says what was compared)."""


def values(name: str) -> dict:
    """Read a values file."""
    return yaml.safe_load((DEPLOY / name).read_text())


def leaves(tree: dict, path: str = "") -> dict:
    """Return what stands in a values file, by its path in the chart."""
    found = {}
    for key, value in tree.items():
        here = f"{path}{key}"
        found |= {here: value} if here in KNOWN or not isinstance(value, dict) else leaves(value, f"{here}.")
    return found


@pytest.mark.parametrize("name", ["values.yaml", "values-celery.yaml"])
def test_values_use_only_what_the_chart_knows(name):
    """Every value has a place in the chart, with the type that its schema asks for."""
    found = leaves(values(name))
    assert set(found) - set(KNOWN) == set()
    assert [path for path, value in found.items() if not isinstance(value, KNOWN[path])] == []


def test_the_chart_makes_no_user_with_a_known_password():
    """Its default is admin with password admin."""
    assert values("values.yaml")["webserver"]["defaultUser"]["enabled"] is False


def test_environment_and_secrets_have_the_charts_form():
    """`env` holds names with text; `secret` names a variable, a secret and its key."""
    found = values("values.yaml")
    assert all(set(e) == {"name", "value"} and isinstance(e["value"], str) for e in found["env"])
    assert all(set(s) == {"envName", "secretName", "secretKey"} for s in found["secret"])


def test_kubernetes_has_every_setting_that_compose_must_have():
    """What docker-compose.yaml refuses to start without, of source and sinks, the values file sets too."""
    compose = (ROOT / "docker-compose.yaml").read_text()
    needed = set(re.findall(r"^    (\w+): \$\{\1:\?", compose, re.MULTILINE))
    found = values("values.yaml")
    assert needed >= {"AIRFLOW_CONN_BRONZE", "AIRFLOW_CONN_SILVER", "AWS_URI"}
    assert needed <= {e["name"] for e in found["env"]} | {s["envName"] for s in found["secret"]}


def test_the_mapping_for_prometheus_is_the_same_everywhere():
    """The chart's mappings are those of the monitoring folder."""
    mapping = yaml.safe_load((DEPLOY / "monitoring" / "statsd-mapping.yaml").read_text())["mappings"]
    assert values("values.yaml")["statsd"]["extraMappings"] == mapping


def test_celery_is_set_the_same_in_compose_and_in_the_chart():
    """Prefetch, late acknowledgement, visibility, concurrency and what is imported ahead do not differ."""
    compose, celery = (ROOT / "docker-compose.yaml").read_text(), values("values-celery.yaml")["config"]
    for name, value in celery["celery"].items():
        said = rf"AIRFLOW__CELERY__{name.upper()}: [\"']?(\$\{{\w+:-)?{re.escape(str(value))}(?!\w)"
        assert re.search(said, compose), name
    seconds = celery["celery_broker_transport_options"]["visibility_timeout"]
    assert f'VISIBILITY_TIMEOUT: "{seconds}"' in compose


def test_a_pod_has_room_for_the_largest_task_that_was_measured():
    """Limits are above the figures of docs/deployment.md, with the supervisor's share; requests are between."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    largest = max(int(mib) for mib in re.findall(r"(?m)^\| \w+ \| (\d+) \| \d+ \|$", text))
    resources = values("values.yaml")["workers"]["resources"]
    request, limit = (_mib(resources[kind]["memory"]) for kind in ("requests", "limits"))
    assert largest + 145 < request < limit


def _mib(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * (1024 if unit == "Gi" else 1)


def test_the_lake_policy_is_for_one_prefix_and_one_bucket():
    """No action is granted on everything, and listing is bound to the prefix."""
    statements = json.loads((DEPLOY / "aws" / "lake-policy.json").read_text())["Statement"]
    resources = [s["Resource"] for s in statements]
    assert resources == ["arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/medallion/*"]
    assert all(not action.endswith("*") for s in statements for action in s["Action"])
    assert statements[0]["Condition"]["StringLike"]["s3:prefix"] == ["medallion", "medallion/*"]
