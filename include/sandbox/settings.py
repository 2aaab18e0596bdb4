"""
The settings with which any program joins the sandbox: the file `.sandbox/env`.

One `KEY=value` per line, quoted for a shell: `set -a; . .sandbox/env; set +a`
exports them, whatever characters the values contain. The caller's environment
takes precedence where it points somewhere else on purpose: `SENTRY_DSN`,
`GOOGLE_API_KEY`, `MEDALLION_*`, every `AIRFLOW_CONN_*`, and all `AWS_*` if
`AWS_URI` is one of them. Other `AIRFLOW*`, `AWS_*` and `PG*` variables are
ignored.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.sandbox import private
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.s3 import Lake
from include.sandbox.snowflake import Snowflake

if TYPE_CHECKING:
    from include.medallion.config.pipeline import Pipeline

MISLEADING = ("AIRFLOW", "AWS_", "PG")
PASSED_ON = ("SENTRY_DSN", "GOOGLE_API_KEY")
PASSED_ON_PREFIXES = ("MEDALLION_", "AIRFLOW_CONN_")
HEADER = "# Settings of the sandbox. To export them in a shell: set -a; . .sandbox/env; set +a\n"
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        **picked(caller),
    }


def connections(pipeline: Pipeline) -> dict[str, str]:
    """Return the variable that defines each Airflow connection of a pipeline, by the connection's id."""
    named = [pipeline.source.connection, *([pipeline.silver.connection] if pipeline.silver else [])]
    return {name: f"AIRFLOW_CONN_{name.upper()}" for name in named}


def is_sample(chosen: Mapping[str, str], servers: Servers, pipeline: Pipeline) -> bool:
    """Return whether a pipeline reads the sandbox's own Bronze."""
    variable = f"AIRFLOW_CONN_{pipeline.source.connection.upper()}"
    return chosen.get(variable) == of(servers, {}, caller={}).get(variable, "")


def stale(chosen: Mapping[str, str], caller: Mapping[str, str] = os.environ) -> list[str]:
    """Return what the caller's shell sets in another way than the sandbox was started with."""
    return sorted(name for name, value in picked(caller).items() if chosen.get(name) != value)


def with_callers(chosen: Mapping[str, str], caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the settings of the sandbox with the caller's choices of now."""
    return {**chosen, **picked(caller)}


def lines(settings: Mapping[str, str]) -> str:
    """Return the settings as a shell reads them, one assignment per line."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in sorted(settings.items()))


def write(state: Path, settings: Mapping[str, str]) -> None:
    """
    Keep the settings in `env`, readable by the owner only.

    Raises:
        SandboxError: a shell cannot set a variable of such a name.
    """
    if unusable := [key for key in settings if not _SHELL_NAME.fullmatch(key)]:
        raise SandboxError(f"a shell cannot set {', '.join(unusable)}: rename the variable or unset it")
    private.write(state / "env", HEADER + lines(settings))


def read(state: Path) -> dict[str, str]:
    """
    Return the settings of the sandbox.

    Raises:
        SandboxError: it was never started.
    """
    file = state / "env"
    if not file.exists():
        raise SandboxError(f"there is no {file}: run `make up` first")
    text = file.read_bytes().decode()  # read_text would turn \r into \n
    # a file without the header was written before values were quoted
    assignments = shlex.split(text, comments=True) if text.startswith(HEADER) else text.splitlines()
    return dict(assignment.split("=", 1) for assignment in assignments)


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


def picked(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's settings that take precedence over the sandbox's own."""
    prefixes = (*PASSED_ON_PREFIXES, "AWS_") if caller.get("AWS_URI") else PASSED_ON_PREFIXES
    return {k: v for k, v in caller.items() if v and (k in PASSED_ON or k.startswith(prefixes))}
