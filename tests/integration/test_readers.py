"""Both sinks are read all the time while they are replaced: readers see whole tables only, and no call is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
from deltalake import DeltaTable

from include.medallion.model.window import Mode
from include.sandbox.google import KEY
from tests.contract.tracing import TracedConnection
from tests.integration.one_table import OneTable
from tests.integration.s3_proxy import before

ROWS = 3000
GEOCODE = {"postcode": "postcode", "country": "US", "geocoder": "google_geocoding", "calls_per_second": 1000}
POSTCODES = ("98052", "10001", "60601", "94105", "33101")
SEEN = "SELECT COUNT(*), COUNT(DISTINCT ID), MIN(N), MAX(N) FROM ONE"


class Reader:
    """Reads both sinks over connections of its own; keeps each table it saw: rows, keys, least and largest n."""

    def __init__(self, people):
        self.people, self.ended = people, Event()
        self.connection = people.account.connect()
        self.silver, self.gold = [], []

    def look(self, *_):
        """Look once."""
        with self.connection.cursor() as cursor:
            self.silver.append(tuple(cursor.execute(SEEN).fetchone()))
        self.gold.append(table(self.people.open("one")))

    def read(self):
        """Look over and over."""
        while not self.ended.is_set():
            self.gold.append(table(self.people.open("one")))


def table(opened):
    """Return what a version of Gold holds: rows, keys, least and largest n."""
    found = opened.to_pyarrow_table(columns=["id", "n"])
    n = found["n"].to_pylist()
    return found.num_rows, len(set(found["id"].to_pylist())), min(n, default=None), max(n, default=None)


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver, google):
    """Lend a table of many rows, in several parts, that has arrived in both sinks."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"}, {"geocode": GEOCODE})
    people.pipeline = type(people.pipeline).model_validate(
        people.pipeline.model_dump(by_alias=True) | {"parts": {"rows_per_part": 1000}}
    )
    environ = {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": google.geocoding_url}
    people.connections = replace(people.connections, environ=environ)
    people.sql("CREATE TABLE people (id int PRIMARY KEY, n int, postcode text)")
    people.sql(
        f"INSERT INTO people SELECT i, 1, ('{{{','.join(POSTCODES)}}}'::text[])[1 + i % 5] "
        f"FROM generate_series(1, {ROWS}) AS i"
    )
    people.run()
    return people


def test_readers_of_a_full_refresh_see_whole_tables_only(people, google):
    """At each statement, each commit and all the time between, a reader finds all old rows or all new ones."""
    old, new = (ROWS, ROWS, 1, 1), (ROWS - 500, ROWS - 500, 2, 2)
    people.sql("DELETE FROM people WHERE id <= 500", "UPDATE people SET n = 2")
    first, paid = people.open("one").version(), len(google.calls)
    kept, reader = people.open("one"), Reader(people)
    with (
        before(people.connections.lake.options["AWS_ENDPOINT_URL"], act=reader.look) as proxy,
        ThreadPoolExecutor() as pool,
    ):
        watched = replace(
            people.connections,
            silver=lambda: TracedConnection(people.account.connect(), before=reader.look, after=reader.look),
            lake=replace(
                people.connections.lake,
                options={
                    **people.connections.lake.options,
                    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_port}",
                },
            ),
        )
        reading = pool.submit(reader.read)
        people.connections, plain = watched, people.connections
        try:
            summary = people.run(mode=Mode.REFRESH)
        finally:
            reader.ended.set()
        reading.result()
        people.connections = plain
    reader.look()
    reader.connection.close()
    assert list(dict.fromkeys(reader.silver)) == list(dict.fromkeys(reader.gold)) == [old, new]
    assert table(kept) == old
    versions = range(first, people.open("one").version() + 1)
    lake = people.connections.lake
    seen = [table(DeltaTable(lake.table("one"), version=v, storage_options=dict(lake.options))) for v in versions]
    assert seen == [old, new]
    assert (summary.read, summary.lookups.calls, len(google.calls)) == (ROWS - 500, 0, paid)
