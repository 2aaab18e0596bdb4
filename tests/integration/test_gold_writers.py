"""Several writers of one Gold table at the same time: no rows are lost, and giving up is an error."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from deltalake.exceptions import CommitFailedError
from medallion_retries import PatientRetries

from include.medallion.config import connections as connection_settings
from include.medallion.errors import SettingError, Unforeseen
from include.medallion.gold.sink import GoldSink
from include.medallion.lake import delta
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Position
from include.medallion.redaction.library_errors import redact_library_errors
from tests.integration.gold_people import BATCHES, ROWS, SCHEMA, SOURCE, People, batch, counts, met, person, write_all
from tests.integration.s3_proxy import before

ROOT = Path(__file__).parents[2]
READABLE = {".py", ".yaml", ".yml", ".sql", ".toml", ".sh"}
WRITERS = 4


@pytest.fixture
def people(lake, lake_uri):
    """Lend an empty prefix on S3 and a pipeline into it."""
    return People(open_lake(lake_uri, lake.options))


def through(lake, proxy):
    """Reach the lake through a proxy."""
    endpoint = f"http://127.0.0.1:{proxy.server_port}"
    return replace(lake, options={**lake.options, "AWS_ENDPOINT_URL": endpoint})


def test_a_z_order_and_a_vacuum_meanwhile_lose_nothing(people, lake):
    """A writer whose files were rewritten and deleted between read and commit writes again; no row is lost."""
    for n in (1, 2, 3):
        people.write(batch(n), [person(n, f"{n}@", 100 * n - 50), person(10 + n, "x@", 100 * n - 50)])

    def maintain():
        people.table().optimize.z_order(["id"])
        people.table().vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)

    applied, proxy = met(people, lake, batch(4), [person(2, "new@", 350), person(4, "4@", 350)], maintain)
    assert (counts(applied), proxy.answers[0]) == ((1, 1, 0), 412)
    assert [row[1] for row in people.rows()] == ["1@", "new@", "3@", "4@", "x@", "x@", "x@"]


def test_the_position_is_read_without_another_pass_over_the_log_for_each_line(people, lake):
    """Opening the table reads each commit; the newest one is read once more, and names the batch."""
    for n in (1, 2, 3):
        people.write(batch(n), [person(n, f"{n}@", 100 * n - 50)])
    with before(lake.options["AWS_ENDPOINT_URL"], at=re.compile(r"GET .*/_delta_log/\d{20}\.json$")) as proxy:
        seen = GoldSink(through(people.lake, proxy), people.pipeline).position(SOURCE)
    assert seen == people.held() == Position(SOURCE, 300, batch(3).batch_id)
    assert len(proxy.answers) <= 2 * (people.table().version() + 1) + 1


def test_a_writer_that_always_loses_fails(people, lake, monkeypatch):
    """Ten attempts lost are an error; nothing of the batch is there, and it can be written again."""
    people.write(batch(1), [person(1, "ann@")])
    others = People(people.lake, name="others")
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda _: None))  # retries do not wait

    def overtake(number):
        others.write(batch(number + 3, after=0, name="others"), [person(100 + number, "x@", 50)])

    with (
        before(lake.options["AWS_ENDPOINT_URL"], act=overtake) as proxy,
        pytest.raises(CommitFailedError),
    ):
        people.write(batch(2), [person(2, "bob@", 150)], lake=through(people.lake, proxy))
    assert proxy.answers == [412] * delta.MAX_ATTEMPTS
    assert people.held().batch_id == batch(1).batch_id
    assert len(people.rows()) == 1 + delta.MAX_ATTEMPTS
    assert counts(people.write(batch(2), [person(2, "bob@", 150)])) == (1, 0, 0)


def test_two_first_writers_make_one_table(people, lake):
    """Who finds no table, and one that was made and filled meanwhile, writes into that one and leaves its columns."""
    others, wider = People(people.lake, name="others"), pa.schema([*SCHEMA, ("city", pa.string())])
    theirs = [person(100, "eve@", city="Ulm")]
    mine = batch(1), [person(1, "ann@")]
    _, proxy = met(people, lake, *mine, act=lambda: others.write(batch(1, name="others"), theirs, schema=wider))
    assert proxy.answers[0] == 412
    assert people.rows("id", "city") == [(1, None), (100, "Ulm")]
    assert people.table().version() == 2


def test_a_writer_overtaken_after_its_commit_takes_nothing_back(people, lake):
    """A newer batch that comes between a commit and what follows it stays the newest; the older counts as replaced."""
    people.write(batch(1), [person(1, "ann@"), person(2, "bob@")])
    newer = [person(1, "ann+@", 250), person(2, "bob+@", 250), person(3, "eve+@", 250)]
    with before(lake.options["AWS_ENDPOINT_URL"], after=lambda _: people.write(batch(3), newer)) as proxy:
        older = [person(1, "ann-@", 150), person(2, "bob-@", 150), person(3, "eve-@", 150)]
        applied = people.write(batch(2), older, lake=through(people.lake, proxy))
    assert people.held().batch_id == batch(3).batch_id
    assert people.table().version() == 3
    assert [row[1] for row in people.rows()] == ["ann+@", "bob+@", "eve+@"]
    assert counts(applied) == (0, 0, 3)


def test_giving_up_is_retried_by_airflow():
    """The task's retries continue where the attempts ended: no person has to act."""
    with pytest.raises(Unforeseen) as error, redact_library_errors():
        raise CommitFailedError("a newer version")
    assert PatientRetries().evaluate(error.value, 1, max_tries=4).action is RetryAction.RETRY


@pytest.mark.parametrize("names", [["one", "two", "three", "four"], ["one"] * WRITERS], ids=["others", "the same"])
def test_processes_that_write_at_the_same_time_lose_nothing(people, names):
    """Four processes, each with batches of its own or all with the same: each row is there, each batch applied once."""
    firsts = [10_000 * number for number in range(WRITERS)] if len(set(names)) > 1 else [0] * WRITERS
    with ProcessPoolExecutor(WRITERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        applied = list(pool.map(write_all, [people.lake] * WRITERS, names, firsts))
    wanted = {first + ROWS * n + i for first in firsts for n in range(1, BATCHES + 1) for i in range(ROWS)}
    assert [row[0] for row in people.rows()] == sorted(wanted)
    assert people.table().version() == len(set(names)) * BATCHES
    assert sum(applied) == len(set(names)) * BATCHES


def test_no_file_switches_safe_commits_off():
    """No file of the project gives a value to the setting that gives up conditional commits."""
    folders = ("include", "dags", "plugins", "benchmarks", "tests")
    files = [file for file in ROOT.iterdir() if file.is_file()]
    files += [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in READABLE]
    setting = re.compile(rb"UNSAFE_RENAME[\"']?\s*[:=]\s*(?!\s)")
    mine = Path(__file__)
    assert [file for file in files if file != mine and setting.search(file.read_bytes())] == []
    assert setting.search(mine.read_bytes())


def test_an_environment_that_switches_safe_commits_off_is_refused():
    """delta-rs would take it from the process's environment: no lake is opened there."""
    with pytest.raises(SettingError, match="remove it; concurrent commits would be lost"):
        connection_settings.lake_from_environment({"AWS_URI": "s3://lake/x", "AWS_S3_ALLOW_UNSAFE_RENAME": "true"})
