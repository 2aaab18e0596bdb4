"""The servers that a benchmark reads and writes: the sandbox's own programs, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import requests

from include.sandbox import postgres, private, s3
from include.sandbox.postgres import Postgres

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".sandbox" / "bench"
"""What outlives a run: results, and the environment of `dlt`."""
BYTES_PER_ROW = 1_500
"""Of disk, for all servers and contenders together."""
TRAFFIC = {
    "SeaweedFS_s3_bucket_traffic_received_bytes_total": "written",
    "SeaweedFS_s3_bucket_traffic_sent_bytes_total": "read",
}


class DiskTooSmall(Exception):
    """A benchmark would fill the disk; the message says what it needs."""


class NotInstallable(Exception):
    """A tool cannot be installed on this machine; the message names the file of its packages."""


@dataclass(frozen=True)
class Servers:
    """Bronze and the lake of one benchmark."""

    state: Path
    bronze: Postgres
    lake: s3.Lake
    database: str = "bench"

    @property
    def uri(self) -> str:
        """Return the source as libpq takes it."""
        return self.bronze.uri(self.database)

    def traffic(self) -> dict[str, int]:
        """Return the bytes that the S3 server has been sent (`written`) and has sent (`read`) since its start."""
        url = f"http://127.0.0.1:{s3.metrics_port(self.state)}/metrics"
        counts = dict.fromkeys(TRAFFIC.values(), 0)
        for line in requests.get(url, timeout=10).text.splitlines():
            name, _, value = line.rpartition(" ")
            if (metric := name.partition("{")[0]) in TRAFFIC:
                counts[TRAFFIC[metric]] += int(float(value))
        return counts

    def discard(self, place: str) -> None:
        """Delete what lies below a contender's place, in the lake and in its folder, and give the disk back."""
        client = self.lake.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.lake.bucket, Prefix=f"{place}/")
        for page in pages:
            if found := [{"Key": o["Key"]} for o in page.get("Contents", ())]:
                client.delete_objects(Bucket=self.lake.bucket, Delete={"Objects": found, "Quiet": True})
        shutil.rmtree(self.state / "contenders" / place, ignore_errors=True)
        # otherwise the space of deleted objects is free for new ones after a quarter of an hour or so
        master = f"http://127.0.0.1:{private.port(self.state, 's3-master', busy_is_ours=True)}"
        requests.get(f"{master}/vol/vacuum?garbageThreshold=0.01", timeout=600).raise_for_status()


@contextmanager
def servers(rows: int) -> Iterator[Servers]:
    """
    Start Postgres and S3 with nothing in them; in the end, or at SIGTERM, stop them and delete what they hold.

    Raises:
        DiskTooSmall: there is no room for so many rows and what contenders make of them.
    """
    end_politely()
    state = folder(rows)
    try:
        bronze = postgres.start(state, "bronze", durable=False)
        there = Servers(state, bronze, s3.start(state))
        postgres.create_database(bronze, there.database)
        yield there
    finally:
        postgres.stop(state, "bronze")
        s3.stop(state)
        postgres.discard(state)
        shutil.rmtree(state, ignore_errors=True)


def folder(rows: int) -> Path:
    """Make a folder in which a benchmark of so many rows has room, or raise `DiskTooSmall`."""
    free, needed = shutil.disk_usage(gettempdir()).free, rows * BYTES_PER_ROW
    if free < needed:
        raise DiskTooSmall(
            f"{rows:,} rows need some {needed / 1e9:.0f} GB in {gettempdir()}, where {free / 1e9:.0f} GB are free: "
            "make room, or let TMPDIR name another disk"
        )
    return Path(mkdtemp(prefix="medallion-bench-"))


def end_politely() -> None:
    """Let SIGTERM end this process like any exit: what was started is then stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def pins_of(name: str) -> Path:
    """Return the file that names the packages of an environment."""
    return ROOT / "benchmarks" / f"requirements-{name}.txt"


def python_of(name: str) -> Path:
    """
    Return the interpreter of another tool's own environment, made and filled at the first call and when a pin changes.

    Raises:
        NotInstallable: a package cannot be installed on this machine.
    """
    pins, place = pins_of(name), HOME / name
    python, done = place / "bin" / "python", place / "installed.txt"
    if not done.exists() or done.read_text() != pins.read_text():
        print(f"installing {name} into an environment of its own", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        try:
            subprocess.run([python, "-m", "pip", "install", "-q", "-r", pins], check=True)
        except subprocess.CalledProcessError:
            raise NotInstallable(f"pip cannot install {pins.relative_to(ROOT)} here") from None
        done.write_text(pins.read_text())
    return python


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a contender's process sees: nothing that would lead it to other servers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PG", "AIRFLOW", "GOOGLE_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1", **extra}
