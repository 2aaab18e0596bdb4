"""Metrics of a run: what is sent, where to, and that dashboard and alerts query nothing else."""

from __future__ import annotations

import atexit
import gzip
import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import medallion_metrics
import pyarrow as pa
import pytest
import yaml
from airflow.sdk._shared.observability.metrics import otel_logger
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError
from opentelemetry import metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from include.medallion.lake import delta
from include.medallion.model.counts import Applied
from include.medallion.model.log_range import LogRange
from include.medallion.model.window import Window
from include.medallion.quarantine.table import SCHEMA, TABLE
from include.medallion.staging.parts import LookupCounts
from include.medallion.steps.summary.row_counts import RunSummary

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
WINDOW = Window("people", "s", 1, 9, 20260101000000000, lag=7, log=LogRange("slot", 10, 30, 0))
SINK = Applied(read=6, inserted=3, updated=2, superseded=1)
LOOKUPS = LookupCounts(
    rows=8, keys=5, cached=4, calls=1, cost_usd=0.005, statuses={"OK": 2, "UNSUPPORTED": 2, "PENDING": 1}
)
SUMMARY = RunSummary("people", WINDOW.batch_id, "window", 1, 9, 7, 8, 2, 0, {"silver": SINK, "gold": SINK}, LOOKUPS)
KNOWN = medallion_metrics.COUNTERS | medallion_metrics.GAUGES


@pytest.fixture
def arrived(monkeypatch) -> Iterator:
    """Send Airflow's metrics to a StatsD server of this test; return a function that returns what arrived."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        yield lambda: _until_end(server)
        stats.initialize(factory=stats_utils.NoStatsLogger, export_legacy_names=False)


def _until_end(server: socket.socket) -> dict[str, str]:
    stats.incr("end")
    found = {}
    while (line := server.recv(4096).decode()) != "airflow.end:1|c":
        name, _, value = line.partition(":")
        found[name] = value
    return found


def quarantine(folder: Path, *pipelines: str) -> None:
    """Write one quarantined row for each pipeline named."""
    rows = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | {"pipeline": p} for p in pipelines], SCHEMA)
    write_deltalake(folder / TABLE, rows, partition_by=["pipeline"])


def test_every_number_of_a_run_arrives_at_statsd(arrived, tmp_path, monkeypatch):
    """Counters and gauges, all that there are, with the run's values; only conflicts are sent when they happen."""
    monkeypatch.setenv("AWS_URI", f"file://{tmp_path}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unused")  # else Airflow is asked for a connection
    quarantine(tmp_path, "people", "others", "people")
    medallion_metrics.emit(WINDOW, SUMMARY, datetime.now(UTC) - timedelta(seconds=20))
    got = {name.removeprefix("airflow.medallion.people."): value for name, value in arrived().items()}
    assert set(got) == set(KNOWN) - {"conflicts"}
    assert (got["rows_read"], got["gold_updated"], got["calls"]) == ("8|c", "2|c", "1|c")
    assert got["keys_unresolved"] == "2|c"
    assert (got["spend_usd"], got["quarantine_depth"], got["lag_transactions"]) == ("0.005|c", "2|g", "7|g")
    assert float(got["held_at"].removesuffix("|g")) == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert 20 <= float(got["run_seconds"].removesuffix("|g")) < 60


class Collector(BaseHTTPRequestHandler):
    """Receives what OpenTelemetry sends over HTTP, and keeps each message on its server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        self.server.messages.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def collected(monkeypatch) -> Iterator:
    """Send Airflow's metrics to an OpenTelemetry collector; return a function that returns what arrived, by name."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.messages = []
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AIRFLOW__METRICS__OTEL_ON", "True")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        yield lambda: _flushed(server)
        atexit.unregister(otel_logger.flush_otel_metrics)  # it would send to a collector that is gone
        metrics.get_meter_provider().shutdown()
        stats.initialize(factory=stats_utils.NoStatsLogger, export_legacy_names=False)
        server.shutdown()


def _flushed(server: ThreadingHTTPServer) -> dict:
    metrics.get_meter_provider().force_flush()
    scopes = [s for m in server.messages for r in m.resource_metrics for s in r.scope_metrics]
    return {metric.name: metric for scope in scopes for metric in scope.metrics}


def test_every_number_of_a_run_arrives_at_opentelemetry(collected, tmp_path, monkeypatch):
    """The same numbers as at StatsD, each with its pipeline as an attribute, counters as differences if asked."""
    monkeypatch.setenv("AWS_URI", f"file://{tmp_path}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unused")  # else Airflow is asked for a connection
    quarantine(tmp_path, "people", "others", "people")
    medallion_metrics.emit(WINDOW, SUMMARY, datetime.now(UTC))
    got = {name.removeprefix("airflow.medallion.people."): metric for name, metric in collected().items()}
    assert set(got) == set(KNOWN) - {"conflicts"}
    assert {name for name, metric in got.items() if metric.HasField("gauge")} == set(medallion_metrics.GAUGES)
    read, depth = got["rows_read"].sum, got["quarantine_depth"].gauge
    assert (read.data_points[0].as_int, depth.data_points[0].as_int) == (8, 2)
    assert read.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    assert got["spend_usd"].sum.data_points[0].as_double == 0.005
    assert {a.key: a.value.string_value for a in read.data_points[0].attributes} == {"pipeline": "people"}


def test_a_run_with_nothing_new_still_reports_how_fresh_the_sinks_are(arrived):
    """Otherwise a quiet source would look like a pipeline that has stopped."""
    medallion_metrics.emit_nothing_new(WINDOW)
    assert set(arrived()) == {
        f"airflow.medallion.people.{n}" for n in ("lag_transactions", "lag_seconds", "held_at", "log_bytes")
    }


def test_a_commit_that_lost_a_race_is_counted(arrived):
    """Each retry after a conflict counts once while conflicts are counted, and not afterwards."""
    failures = [CommitFailedError("lost")]

    def attempt() -> None:
        if failures:
            raise failures.pop()

    with medallion_metrics.counting_conflicts("people"):
        delta.retry_on_conflict(attempt)
    assert set(arrived()) == {"airflow.medallion.people.conflicts"}
    failures.append(CommitFailedError("lost"))
    delta.retry_on_conflict(attempt)
    assert arrived() == {}


def test_a_number_that_cannot_be_sent_harms_nothing(arrived, caplog):
    """Numbers that cannot be computed are logged by the kind of the failure, and the run goes on."""
    medallion_metrics.emit(WINDOW, None, datetime.now(UTC))
    assert "metrics of people were not sent (AttributeError)" in caplog.text


def test_without_a_server_nothing_is_read_or_sent(monkeypatch):
    """If metrics are off, not even the quarantine is counted."""
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "False")
    assert medallion_metrics.wanted() is False
    medallion_metrics.emit(WINDOW, SUMMARY, datetime.now(UTC))


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yaml"])
def test_dashboard_and_alerts_ask_for_numbers_that_are_sent(name):
    """Every medallion_... in a query is a number that the DAG sends, and the dashboard shows each of them."""
    asked = {n.removeprefix("medallion_") for n in re.findall(r"medallion_\w+", _queries(MONITORING / name))}
    assert asked
    assert asked <= set(KNOWN)
    assert name != "grafana.json" or asked == set(KNOWN)


def _queries(file: Path) -> str:
    if file.suffix == ".json":
        return " ".join(t["expr"] for panel in json.loads(file.read_text())["panels"] for t in panel["targets"])
    return " ".join(rule["expr"] for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"])


def test_each_alert_names_a_part_of_the_runbook_that_is_there():
    """The runbook of an alert is a heading of docs/operations.md."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    text = (MONITORING.parents[1] / "docs" / "operations.md").read_text()
    anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"(?m)^#+ (.+)$", text)}
    named = {rule["annotations"]["runbook"].partition("#")[2].partition(":")[0] for rule in rules}
    assert named - anchors == set()


def test_statsd_names_become_labelled_series():
    """The mapping for Prometheus fits the names that are sent."""
    (rule,) = yaml.safe_load((MONITORING / "statsd-mapping.yaml").read_text())["mappings"]
    pattern = re.escape(rule["match"]).replace(r"\*", "([^.]+)")
    found = re.fullmatch(pattern, "airflow.medallion.people.rows_read")
    assert (found[1], rule["name"].replace("$2", found[2])) == ("people", "medallion_rows_read")
