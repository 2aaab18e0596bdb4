"""
Measure the page in Airflow's UI with 200 pipelines and 100,000 recorded runs: `python benchmarks/page.py`.

A real api-server over SQLite, a lake in a folder, a real Chromium. Prints the seconds that a request takes, the first
one after the start and the median of five later ones, with the CPU seconds of the server, and those until a browser
shows the table.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow as pa
import requests
from deltalake import write_deltalake

from include.medallion.lake import delta
from include.medallion.lake.object_store import open_lake
from include.medallion.model.batch_id import new_batch_id
from include.medallion.runs.table import SCHEMA, TABLE
from tests.e2e.browser import chromium

ROOT = Path(__file__).parents[1]
PIPELINES, RUNS, DAYS = 200, 100_000, 30
FILE = "source: {{table: {0}, key: id}}\nenrich: {{geocode: {{postcode: zip, country: US}}}}\ngold: {{table: {0}}}\n"
SEED = """
import sys
from datetime import UTC, datetime, timedelta
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import insert
dags, runs = map(int, sys.argv[1:])
same = {"state": "success", "run_type": "manual", "clear_number": 0, "span_status": "not_started", "conf": {}}
with create_session() as session:
    session.add(DagBundleModel(name="dags-folder"))
    session.flush()
    for n in range(dags):
        paths = {"bundle_name": "dags-folder", "fileloc": "x", "relative_fileloc": "x", "timetable_type": ""}
        session.add(DagModel(dag_id=f"medallion_table_{n}", is_paused=False, **paths))
    session.flush()
    rows = []
    for n in range(runs):
        at = datetime.now(UTC) - timedelta(seconds=26 * n)
        times = {"run_after": at, "start_date": at, "end_date": at, "queued_at": at, "context_carrier": {}}
        rows.append({"dag_id": f"medallion_table_{n % dags}", "run_id": f"r{n}", "logical_date": None, **times, **same})
        if n % 5000 == 4999:
            session.execute(insert(DagRun.__table__), rows)
            rows = []
"""


def main() -> None:
    """Make the deployment, start the api-server, measure, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        environ = environment(home, port)
        make_lake(home)
        for command in (["-m", "airflow", "db", "migrate"], ["-c", SEED, str(PIPELINES), str(RUNS)]):
            subprocess.run([sys.executable, *command], env=environ, check=True, capture_output=True)
        command = [sys.executable, "-m", "airflow", "api-server"]
        with (home / "log").open("w") as log:
            server = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            measure(f"http://127.0.0.1:{port}", psutil.Process(server.pid))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def measure(url: str, server: psutil.Process) -> None:
    """Print how long the page takes."""
    headers = {"Authorization": f"Bearer {login(url)}"}
    for path in ("api/overview", "api/dags/medallion_table_1"):
        first, used = timed(f"{url}/medallion/{path}", headers), cpu_seconds(server)
        later = [timed(f"{url}/medallion/{path}", headers) for _ in range(5)]
        used = (cpu_seconds(server) - used) / len(later)
        print(f"{path:<28} first {first:.2f} s, then {statistics.median(later):.2f} s ({used:.2f} CPU-s)")
    with chromium() as browser:
        context = browser.new_context(extra_http_headers=headers)
        page, opened = context.new_page(), []
        for _ in range(3):
            began = time.perf_counter()
            page.goto(f"{url}/medallion/view")
            page.locator(f"tbody tr:nth-child({PIPELINES})").wait_for()
            opened.append(time.perf_counter() - began)
        print(f"{'overview in Chromium':<28} first {opened[0]:.2f} s, then {min(opened):.2f} s")


def cpu_seconds(server: psutil.Process) -> float:
    """Return the CPU seconds that a server and its workers have used."""
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def timed(url: str, headers: dict[str, str]) -> float:
    """Return the seconds until a request is answered well; what is still being read is asked for again."""
    began = time.perf_counter()
    while requests.get(url, headers=headers, timeout=60).status_code != requests.codes.ok:
        time.sleep(0.1)
    return time.perf_counter() - began


def login(url: str) -> str:
    """Wait for the api-server and return a token."""
    while True:
        try:
            return requests.get(f"{url}/auth/token", timeout=60).json()["access_token"]
        except requests.ConnectionError:
            time.sleep(0.5)


def make_lake(home: Path) -> None:
    """Write the pipeline files and the table of runs."""
    chance, now = random.Random(1), datetime.now(UTC)
    (home / "pipelines").mkdir()
    for n in range(PIPELINES):
        (home / "pipelines" / f"table_{n}.yaml").write_text(FILE.format(f"table_{n}"))
    counts = {"quarantined": 0, "unchanged": 0, "lag": 0, "after": 1, "upto": 2, "keys": 9, "cached": 8, "calls": 1}
    texts = {"sinks": json.dumps({"gold": {"inserted": 1, "updated": 1, "superseded": 0, "replayed": False}})}
    texts |= {"statuses": '{"OK": 9}', "changes": "[]"}
    rows = []
    for n in range(RUNS):
        ended = now - timedelta(days=DAYS * n / RUNS)
        times = {"started_at": ended - timedelta(seconds=9), "ended_at": ended, "_batch_id": new_batch_id(ended, 0)}
        spend = {"spend_usd": 0.005, "resolved": 9, "unresolved": 0, "read": chance.randrange(9999)}
        names = {"pipeline": f"table_{n % PIPELINES}", "kind": "window", "run_id": f"r{n}"}
        rows.append({**names, **times, **counts, **spend, **texts})
    lake = open_lake(f"file://{home}/lake", {})
    table = delta.open_or_create(lake, TABLE, SCHEMA, statistics=[])
    write_deltalake(table, pa.Table.from_pylist(rows, SCHEMA), mode="append")


def environment(home: Path, port: int) -> dict[str, str]:
    """Return the settings of an Airflow of its own."""
    url = f"http://127.0.0.1:{port}"
    ours = {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "MEDALLION_PIPELINES": str(home / "pipelines"),
        "AWS_URI": f"file://{home}/lake",
        "AWS_ACCESS_KEY_ID": "unused",
        "AWS_SECRET_ACCESS_KEY": "unused",
    }
    return {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "AWS_", "MEDALLION"))} | ours


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
