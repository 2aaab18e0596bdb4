"""Every server real, every wire through a proxy, every task within reach: how the storm's deployment is made."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from include.sandbox import client, postgres, private, snowflake, stack
from include.sandbox.google import KEY, Google, serving

from . import writer
from .orders import Orders
from .proxy import Proxy
from .rig import DAG, Rig, deeds, until

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PIPELINE = """
source: {table: storm, key: id}
enrich: {geocode: {postcode: postcode, country: US, geocoder: google_geocoding, calls_per_second: 400, concurrency: 4,
                   timeout_seconds: 3}}
silver: {table: STORM}
gold: {table: storm}
parts: {keys_per_part: 80, max_parts: 3, max_parallel_parts: 3, chunk_mb: 1}
"""
SHORTER = """
# the product's DAG file for this airflow, after its waits were made shorter, and its tries more: kills are many here
from datetime import timedelta
from pathlib import Path

from medallion_defaults import SETTINGS
from medallion_retries import PatientRetries

assert {"retry_delay", "retry_policy"} <= SETTINGS["default_args"].keys()
SETTINGS["default_args"] |= {"retries": 12, "retry_policy": PatientRetries(1.0, 5.0)}
SETTINGS["default_args"]["retry_delay"] = timedelta(seconds=0.5)
exec(compile(Path("%s").read_text(), "medallion.py", "exec"))
"""
QUICKER = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}
NOT_THE_CALLERS = ("MEDALLION_", "AWS_", "AIRFLOW", "SENTRY_", "GOOGLE_", "CHAOS_")
LATENCY = 0.03  # of Google: calls are in flight at any moment


@contextmanager
def deployed(state: Path, rows: int, say: Callable[[str], None]) -> Iterator[Rig]:
    """Start everything, with so many rows in the source, and stop it at the end."""
    with ExitStack() as stack_, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(NOT_THE_CALLERS)]:
            patch.delenv(name)
        google = stack_.enter_context(serving(latency=LATENCY))
        proxies = {name: Proxy(port) for name, port in _ports(state, google).items()}
        rig = Rig(state, google, proxies)
        _fill(state / "project")
        rig.orders = Orders(state / "chaos", deeds(rig))
        try:
            rig.settings = stack.up(state, say, 10, _extra(rig))
            patch.setenv("REQUESTS_CA_BUNDLE", rig.settings["REQUESTS_CA_BUNDLE"])
            writer.seed(rig.dsn, rows, _postcodes(state)[:300])
            client.await_dag(client.login(rig.settings), DAG, state / "project")
            yield rig
        finally:
            rig.orders.close()
            rig.end_orphans()
            stack.down(state, say)
            postgres.discard(state)
            for proxy in proxies.values():
                proxy.close()


@contextmanager
def writing(rig: Rig) -> Iterator[Callable[[bool], None]]:
    """Let somebody write to the source; yields a switch: `pause(True)` returns when all transactions have ended."""
    folder = rig.state / "writer"
    command = [sys.executable, "-m", "tests.chaos.writer", rig.dsn, folder]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def pause(wish: bool) -> None:
        if not wish:
            (folder / "pause").unlink()
            return
        (folder / "pause").touch()
        until(lambda: len(list(folder.glob("quiet-*"))) == len(writer.HABITS))

    yield pause
    (folder / "stop").touch()
    process.wait(30)
    assert process.returncode == 0, (folder / "log").read_text()


def _ports(state: Path, google: Google) -> dict[str, int]:
    """Choose the servers' ports before they start, so that their proxies are known by then."""
    names = {"bronze": "postgres-bronze", "silver": snowflake.NAME, "s3": "s3-s3"}
    return {name: private.port(state, kept) for name, kept in names.items()} | {"google": google.server_port}


def _extra(rig: Rig) -> dict[str, str]:
    """Return the settings that lead every task through the proxies and past the points."""
    ports, temporary = {name: proxy.port for name, proxy in rig.proxies.items()}, rig.state / "tmp"
    temporary.mkdir()
    return {
        **QUICKER,
        "AIRFLOW__CORE__DAGS_FOLDER": str(rig.state / "project" / "dags"),
        "MEDALLION_PIPELINES": str(rig.state / "project" / "include" / "pipelines"),
        "PYTHONPATH": f"{HERE / 'inject'}:{ROOT}",
        "CHAOS_FOLDER": str(rig.state / "chaos"),
        "TMPDIR": str(temporary),
        "PYTHONDONTWRITEBYTECODE": "",  # hundreds of processes would compile what they import
        "AIRFLOW_CONN_BRONZE": replace(rig.bronze, port=ports["bronze"])
        .uri("bronze")
        .replace("postgresql", "postgres"),
        "AIRFLOW_CONN_SILVER": replace(rig.silver, port=ports["silver"]).airflow(),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "GOOGLE_API_KEY": KEY,
        "GOOGLE_GEOCODING_URL": rig.google.geocoding_url.replace(str(rig.google.server_port), str(ports["google"])),
    }


def _fill(project: Path) -> None:
    """Make a project folder: the product's DAG, less patient, and one pipeline file."""
    dags, files = project / "dags", project / "include" / "pipelines"
    dags.mkdir(parents=True)
    files.mkdir(parents=True)
    (dags / "medallion.py").write_text(SHORTER % (ROOT / "dags" / "medallion.py"))
    (files / "storm.yaml").write_text(PIPELINE)


def _postcodes(state: Path) -> list[str]:
    """Choose all postcodes of the storm, in the order in which the writer comes to them."""
    from zipcodes import list_all  # noqa: PLC0415 (takes a second)

    chosen = sorted(row["zip_code"] for row in list_all() if float(row["lat"] or 0) and float(row["long"] or 0))
    random.Random(1).shuffle(chosen)
    folder = state / "writer"
    folder.mkdir()
    (folder / "postcodes").write_text("\n".join(chosen))
    return chosen


def discard(state: Path) -> None:
    """Delete a rig's folder."""
    shutil.rmtree(state, ignore_errors=True)
