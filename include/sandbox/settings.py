"""
The settings with which any program joins the sandbox: the file `.sandbox/env`.

One `KEY=value` a line, without quotes, spaces or line breaks in the values.
What the caller's environment already holds wins where it points somewhere
else on purpose: `SENTRY_DSN`, `GOOGLE_API_KEY`, `MEDALLION_*`,
`AIRFLOW_CONN_BRONZE`, `AIRFLOW_CONN_SILVER`, and all `AWS_*` if `AWS_URI` is
one of them. Other `AIRFLOW*`, `AWS_*` and `PG*` variables are not let in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.sandbox import private
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.s3 import Lake
from include.sandbox.snowflake import Snowflake

MISLEADING = ("AIRFLOW", "AWS_", "PG")
PASSED_ON = ("SENTRY_DSN", "GOOGLE_API_KEY", "AIRFLOW_CONN_BRONZE", "AIRFLOW_CONN_SILVER")


@dataclass(frozen=True)
class Servers:
    """The running servers that a pipeline reads and writes."""

    bronze: Postgres
    lake: Lake
    silver: Snowflake


def of(servers: Servers, airflow: Mapping[str, str], caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return every setting of the sandbox, the caller's choices included."""
    return {
        **airflow,
        "AIRFLOW_CONN_BRONZE": servers.bronze.uri("bronze").replace("postgresql:", "postgres:"),
        "AIRFLOW_CONN_SILVER": servers.silver.airflow(),
        **servers.lake.options,
        "AWS_URI": f"s3://{servers.lake.bucket}/medallion",
        **servers.silver.environment,
        "SENTRY_DSN": "",
        "MEDALLION_SCHEDULE": "manual",
        **_direct(caller),
        **_chosen(caller),
    }


def elsewhere(servers: Servers, chosen: Mapping[str, str]) -> list[str]:
    """Return the names of the settings that point to the caller's own servers."""
    ours = of(servers, {}, caller={})
    return [name for name in ("AIRFLOW_CONN_BRONZE", "AIRFLOW_CONN_SILVER", "AWS_URI") if chosen[name] != ours[name]]


def write(state: Path, settings: Mapping[str, str]) -> None:
    """Keep the settings in `env`, readable by the owner only."""
    if broken := [key for key, value in settings.items() if set(value) & set("\n\r")]:
        raise SandboxError(f"line breaks in {broken}: a settings file cannot hold them")
    private.write(state / "env", "".join(f"{key}={value}\n" for key, value in sorted(settings.items())))


def read(state: Path) -> dict[str, str]:
    """
    Return the settings of the sandbox.

    Raises:
        SandboxError: it was never started.
    """
    file = state / "env"
    if not file.exists():
        raise SandboxError(f"there is no {file}: run `make up` first")
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def process_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return a child's whole environment: the caller's, without what would lead it elsewhere, and the settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(MISLEADING)} | dict(settings)


def join(settings: Mapping[str, str]) -> None:
    """Make this process one of the sandbox's."""
    environment = process_environment(settings)
    os.environ.clear()
    os.environ.update(environment)


def _direct(caller: Mapping[str, str]) -> dict[str, str]:
    """Return settings that keep the way to our own servers out of a proxy."""
    known = caller.get("NO_PROXY") or caller.get("no_proxy") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, known.split(",")), "127.0.0.1", "localhost"]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def _chosen(caller: Mapping[str, str]) -> dict[str, str]:
    elsewhere = ("MEDALLION_", "AWS_") if caller.get("AWS_URI") else ("MEDALLION_",)
    return {k: v for k, v in caller.items() if v and (k in PASSED_ON or k.startswith(elsewhere))}
