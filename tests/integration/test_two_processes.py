"""Two processes bring rows of one pipeline at the same time: Airflow's `max_active_runs` is not what saves them."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import BrokenBarrierError
from typing import TypeVar

import pytest
from pydantic import TypeAdapter

from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import Refused
from include.medallion.lake.object_store import Lake
from include.medallion.model.window import Window
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.commit import commit
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.open_window import open_window
from include.sandbox.google import KEY
from include.sandbox.snowflake import Snowflake
from tests.integration.one_table import OneTable

ROUNDS, TRIES, PATIENCE = 2, 5, 120
ABOUT_THE_BATCH = ("_batch_id", "_loaded_at")  # of two batches with one row, each sink may have applied another last
POSTCODES = ("98052", "10001", "60601", "94105", "33101")
GEOCODE = {"postcode": "postcode", "country": "US", "geocoder": "google_geocoding", "calls_per_second": 1000}
T = TypeVar("T")
WINDOW = TypeAdapter(Window)


@dataclass(frozen=True)
class Worker:
    """All that a process needs; one file holds its window, another one its result."""

    dsn: str
    lake: Lake
    account: Snowflake
    environ: dict
    pipeline: Pipeline
    folder: Path
    number: int

    @property
    def connections(self) -> connection_settings.Connections:
        """How to reach source and sinks."""
        return connection_settings.Connections(self.dsn, self.account.connect, self.lake, self.environ)


def tried(step: Callable[[], T]) -> T:
    """Do a step as Airflow does: again if it fails, but not if a person must act."""
    for _ in range(TRIES - 1):
        try:
            return step()
        except Refused:
            raise
        except Exception:  # noqa: BLE001 (a lost race; the last try raises)
            continue
    return step()


def work(worker: Worker, barrier) -> None:
    """Bring a batch in each round, each step at the same moment as the other process."""
    for number in range(ROUNDS):
        barrier.wait(PATIENCE)
        try:
            result = bring(worker, worker.folder / f"window-{number}.json", barrier)
        except BaseException as e:
            barrier.abort()
            result = {"error": f"{type(e).__name__}: {e}"}
            raise
        finally:
            (worker.folder / f"result-{number}-{worker.number}.json").write_text(json.dumps(result))
        barrier.wait(PATIENCE)


def bring(worker: Worker, given: Path, barrier) -> dict:
    """Bring one batch: of the window that is given, else of one's own; the second process has lost the watermark."""
    pipeline, connections = worker.pipeline, worker.connections
    if given.exists():
        window = WINDOW.validate_json(given.read_bytes())
    else:
        remembered = {} if worker.number == 0 else {"silver": None}
        window = tried(lambda: open_window(pipeline, connections, remembered=remembered))
    barrier.wait(PATIENCE)
    parts = tried(lambda: extract(pipeline, connections, window))
    barrier.wait(PATIENCE)
    for part in parts:
        tried(lambda number=part.number: enrich(pipeline, connections, window, number))
    for sink in pipeline.sink_steps:
        barrier.wait(PATIENCE)
        tried(lambda sink=sink: apply_batch(pipeline, connections, window, sink))
    return asdict(commit(pipeline, connections.lake, window))


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver, google):
    """Lend a table whose postcodes Google is asked for."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"}, {"geocode": GEOCODE})
    environ = {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": google.geocoding_url}
    people.connections = replace(people.connections, environ=environ)
    people.sql("CREATE TABLE people (id int PRIMARY KEY, n int, postcode text)")
    return people


def change(people, number):
    """Give half of the rows a new version, and add some."""
    rows = [(i, number, POSTCODES[i % len(POSTCODES)]) for i in range(0, 40 + 10 * number, 2 if number else 1)]
    values = ", ".join(str(row) for row in rows)
    people.sql(f"INSERT INTO people VALUES {values} ON CONFLICT (id) DO UPDATE SET n = excluded.n")


@pytest.mark.parametrize("same", [True, False], ids=["the same window", "windows that overlap"])
def test_two_processes_at_once_end_right(people, google, tmp_path, same):
    """Round after round both bring the newest rows, step by step at the same moment: each is there once and newest."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    about = (people.dsn, people.connections.lake, people.account, people.connections.environ, people.pipeline, tmp_path)
    workers = [context.Process(target=work, args=(Worker(*about, n), barrier)) for n in range(2)]
    for worker in workers:
        worker.start()
    for number in range(ROUNDS):
        change(people, number)
        if same:
            window = people.begin()
            (tmp_path / f"window-{number}.json").write_bytes(WINDOW.dump_json(window))
        with suppress(BrokenBarrierError):
            for _ in range(6):
                barrier.wait(PATIENCE)
        results = [json.loads((tmp_path / f"result-{number}-{n}.json").read_text()) for n in range(2)]
        assert [r["error"] for r in results if "error" in r] == []
        right(people)
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0, 0]
    paid = Counter(call.postcode for call in google.calls)
    assert paid.keys() == set(POSTCODES)
    assert max(paid.values()) <= len(workers)


def right(people):
    """Compare source and sinks by value."""
    source = people.sql("SELECT id, n, postcode FROM people ORDER BY id")
    gold = people.gold()
    assert sorted((row["id"], row["n"], row["postcode"]) for row in gold) == source
    both = [
        [{name: row[name] for name in row if name not in ABOUT_THE_BATCH} for row in sink]
        for sink in (people.silver(), gold)
    ]
    assert both[0] == both[1]
