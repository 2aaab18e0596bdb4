"""The worked examples of docs/enrichments.md run as they stand."""

from __future__ import annotations

import json
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from include.medallion.config.files import load_file
from include.medallion.errors import ProviderRefused
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
RATES = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}
KEY = "a-key-of-the-rates"


class Rates(ThreadingHTTPServer):
    """A service of exchange rates that can be made to fail, and records its requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked, self.failures = [], deque()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        """Refuse a wrong key, fail if that was requested, else answer."""
        codes = parse_qs(urlsplit(self.path).query)["codes"][0].split(",")
        self.server.asked.append(codes)
        known = {code: RATES[code] for code in codes if code in RATES}
        right = self.headers["Authorization"] == f"Bearer {KEY}"
        status = 401 if not right else self.server.failures.popleft() if self.server.failures else 200
        body = json.dumps({"rates": known}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving():
    """Start the service."""
    with Rates() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def rates(monkeypatch):
    """Start the service, and set what the example needs."""
    with serving() as server:
        monkeypatch.setenv("RATES_URL", f"http://127.0.0.1:{server.server_port}/rates")
        monkeypatch.setenv("RATES_KEY", KEY)
        yield server


@pytest.fixture
def one(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that takes a pipeline file of the examples, with a table for it."""

    def make(file, *ddl):
        table = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "t", "key": "id"})
        table.pipeline = load_file(EXAMPLES / file)
        table.sql(*ddl)
        return table

    return make


@pytest.fixture
def prices(one, rates):
    """Lend a table of prices in three currencies, one of them unknown."""
    return one(
        "prices.yaml",
        "CREATE TABLE prices (id int PRIMARY KEY, amount numeric(10, 2), currency text)",
        "INSERT INTO prices VALUES (1, 5, 'USD'), (2, 7, 'GBP'), (3, 9, 'XXX'), (4, 11, 'USD'), (5, 13, NULL)",
    )


def test_a_table_of_departments(one):
    """departments.yaml brings its table to both sinks with each department's name and size."""
    staff = one(
        "departments.yaml",
        "CREATE TABLE staff (id int PRIMARY KEY, department_id int)",
        "INSERT INTO staff VALUES (1, 10), (2, 20), (3, 99), (4, NULL), (5, 10)",
    )
    staff.run()
    expected = [("Research", 120), ("Sales", 45), (None, None), (None, None), ("Research", 120)]
    for sink in (staff.gold(), staff.silver()):
        assert [(row["department"], row["staff"]) for row in sink] == expected


def test_rates_over_http(prices, rates):
    """prices.yaml asks once for all currencies; what the service does not know is set aside."""
    rates.failures.extend([503, 429])
    summary = prices.run()
    assert [(row["id"], row["euros"], row["rate_status"]) for row in prices.gold()] == [
        (1, 0.9, "OK"), (2, 1.2, "OK"), (4, 0.9, "OK"), (5, None, "NO_KEY"),
    ]  # fmt: skip
    assert prices.silver() == prices.gold()
    assert [row["key"] for row in prices.quarantine()] == ['["3"]']
    assert (len(rates.asked), summary.lookups.calls, summary.lookups.cost_usd) == (3, 3, 0.0045)


def test_rates_that_are_fresh_are_not_asked_for_again(prices, rates):
    """A refresh on the same day finds nothing due."""
    prices.run()
    assert prices.run(mode=Mode.LOOKUPS) is None
    assert len(rates.asked) == 1


def test_a_wrong_key_of_the_rates_stops_the_run(prices, rates, monkeypatch):
    """The message names the setting; one call was made."""
    monkeypatch.setenv("RATES_KEY", "wrong")
    with pytest.raises(ProviderRefused, match="set RATES_KEY"):
        prices.run()
    assert len(rates.asked) == 1


def test_offices_nearest_to_the_places_found_before(one):
    """employees_and_offices.yaml adds coordinates, and from them the office: Redmond's is Seattle."""
    staff = one(
        "employees_and_offices.yaml",
        "CREATE TABLE employees (id int PRIMARY KEY, postcode text)",
        "INSERT INTO employees VALUES (1, '98052'), (2, '60601'), (3, 'nowhere'), (4, '10001')",
    )
    staff.run()
    rows = staff.gold()
    assert [row["office"] for row in rows] == ["Seattle", "Chicago", None, "New York"]
    assert 10 < rows[0]["office_km"] < 30
    assert staff.silver() == rows
