"""The files of deploy/ agree with one another, with the code and with what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FACTS = yaml.safe_load((Path(__file__).parent / "chart_facts.yaml").read_text())
FILES = ["values.yaml", "values-celery.yaml"]
TYPES = {dict: "object", list: "array", bool: "boolean", int: "integer", float: "number", str: "string"}


def values(name: str) -> dict:
    """Read a values file."""
    return yaml.safe_load((DEPLOY / name).read_text())


def leaves(tree: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    """List what stands in a values file, each with its path in the chart."""
    if path[-2:] == ("extraMappings", "[]"):  # the exporter's own lines, which the chart passes on
        return [(path, tree)]
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))]
    if isinstance(tree, list):
        return [leaf for value in tree for leaf in leaves(value, (*path, "[]"))]
    return [(path, tree)]


def fact(path: tuple[str, ...]) -> str | None:
    """Find the fact that speaks of a path."""
    for known in FACTS["values"]:
        words = known.split(" ")
        if len(words) == len(path) and all(word in ("*", key) for word, key in zip(words, path, strict=True)):
            return known
    return None


def mistakes(tree: dict) -> list[str]:
    """List the paths that the chart does not know, or whose value has a type that it refuses."""
    return [
        " ".join(path)
        for path, value in leaves(tree)
        if TYPES.get(type(value), "null") not in FACTS["values"].get(fact(path), [])
    ]


@pytest.mark.parametrize("name", FILES)
def test_values_use_only_what_the_chart_knows(name):
    """Every value has a place in the chart, with a type that its schema allows."""
    assert mistakes(values(name)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": {"celery": {"keda": {"maxReplicas": 8}}}},
        {"workers": {"kubernetes": {"resource": {"limits": {"memory": "2Gi"}}}}},
        {"worker": {"celery": {"keda": {"enabled": True}}}},
        {"env": [{"name": "PORT", "value": 8080}]},
        {"scheduler": {"resources": {"limits": {"cpu": 1.5}}}},
        {"config": {"core": {"parallelism": None}}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_key_or_a_type_that_the_chart_does_not_know_is_found(wrong):
    """The comparison finds names that are misspelt, also where the chart ignores them, and wrong types."""
    assert len(mistakes(wrong)) == 1


def test_every_fact_of_the_chart_is_used_and_every_object_is_judged():
    """The file of facts speaks of what the values files use, and of each object that they enter."""
    paths = [path for name in FILES for path, _ in leaves(values(name))]
    assert {fact(path) for path in paths} == set(FACTS["values"])
    entered = {" ".join(path[:end]) for path in paths for end in range(1, len(path))}
    lists = {"env", "secret", "statsd extraMappings", "volumes", "volumeMounts"}
    free = {*lists, "config", "securityContexts containers capabilities drop"}  # and sections of any name
    maps = {e for e in entered if e.endswith((" limits", " requests", " annotations")) or e.startswith("config ")}
    assert entered - free - maps == set(FACTS["refuses_other_keys"])


def test_the_chart_makes_no_user_with_a_known_password():
    """Its default is admin with password admin."""
    assert values("values.yaml")["createUserJob"]["enabled"] is False


def test_a_password_of_redis_comes_with_the_address_that_holds_it():
    """Else the chart stops the installation."""
    found = values("values-celery.yaml")
    assert found["redis"]["passwordSecretName"]
    assert found["data"]["brokerUrlSecretName"]


def test_every_secret_that_the_chart_expects_is_made_in_the_documentation():
    """The page creates each Kubernetes secret that the values files name, with the keys that they read."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    made = dict(re.findall(r"create secret generic (\S+) (.+)", page))
    leaf = [item for name in FILES for item in leaves(values(name))]
    assert {value for path, value in leaf if path[-1].lower().endswith("secretname")} == set(made)
    assert {f"--from-literal={s['secretKey']}=" for s in values("values.yaml")["secret"]} <= set(
        re.findall(r"--from-literal=\w+=", made["medallion"])
    )


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
    resources = values("values.yaml")["workers"]["kubernetes"]["resources"]
    request, limit = (_mib(resources[kind]["memory"]) for kind in ("requests", "limits"))
    assert largest + 145 < request < limit


def _mib(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * (1024 if unit == "Gi" else 1)


def test_pods_run_without_rights_on_a_read_only_filesystem():
    """Nothing runs as root, gains rights or writes to the image; /tmp is a volume of the pod's own."""
    found = values("values.yaml")
    pod, container = (found["securityContexts"][kind] for kind in ("pod", "containers"))
    assert pod["runAsNonRoot"]
    assert pod["runAsUser"] > 0
    assert (container["allowPrivilegeEscalation"], container["readOnlyRootFilesystem"]) == (False, True)
    assert container["capabilities"] == {"drop": ["ALL"]}
    mounted = {mount["mountPath"]: mount["name"] for mount in found["volumeMounts"]}
    assert {"name": mounted["/tmp"], "emptyDir": {"sizeLimit": "4Gi"}} in found["volumes"]
    assert {"name": "HOME", "value": "/tmp"} in found["env"]


def test_pods_connect_to_what_they_need_only():
    """The policy of the chart is on; ours lets pods reach DNS, each other, Postgres and HTTPS, not cloud metadata."""
    assert values("values.yaml")["networkPolicies"] == {"enabled": True}
    policy = values("network-policy.yaml")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    ports = {port["port"] for rule in policy["egress"] for port in rule.get("ports", [])}
    assert ports == {53, 443, 5432, 6443}
    blocks = [peer["ipBlock"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer]
    anywhere = [block for block in blocks if block["cidr"] == "0.0.0.0/0"]
    assert all("169.254.169.254/32" in block["except"] for block in anywhere)


def test_the_base_image_is_pinned_by_its_digest():
    """Only one image is pulled: what a tag names can change."""
    text = (ROOT / "Dockerfile").read_text()
    (image,) = re.findall(r"(?m)^ARG AIRFLOW_IMAGE=(\S+)$", text)
    pulled = [name for name in re.findall(r"(?m)^FROM (\S+)", text) if name != "airflow"]
    assert pulled == ["${AIRFLOW_IMAGE}"]
    assert re.fullmatch(r"apache/airflow:3\.3\.2-python3\.12@sha256:[0-9a-f]{64}", image)


@pytest.mark.parametrize("name", ["lake-policy.json", "logs-policy.json"])
def test_each_policy_is_for_one_prefix_of_one_bucket(name):
    """No action is granted on everything, and listing is bound to the prefix that the values file uses."""
    found = values("values.yaml")
    uris = {
        "lake-policy.json": next(e["value"] for e in found["env"] if e["name"] == "AWS_URI"),
        "logs-policy.json": found["config"]["logging"]["remote_base_log_folder"],
    }
    bucket, _, prefix = uris[name].removeprefix("s3://").partition("/")
    statements = json.loads((DEPLOY / "aws" / name).read_text())["Statement"]
    assert [s["Resource"] for s in statements] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}/*"]
    assert all(not action.endswith("*") for s in statements for action in s["Action"])
    assert statements[0]["Condition"]["StringLike"]["s3:prefix"] == [prefix, f"{prefix}/*"]
