"""The benchmarks work with few rows, and compare only contenders that have done the same work."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from deltalake import DeltaTable

from benchmarks.harness import contest, employees, residents, silver_contest, trial_table
from benchmarks.harness.arrival import Plan, watch
from benchmarks.harness.measure import ContenderFailed
from benchmarks.harness.options import chosen
from benchmarks.harness.report import markdown, summaries
from benchmarks.harness.results import OTHERS
from benchmarks.harness.servers import Servers, pins_of

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("bench_*.py"))


@pytest.fixture
def servers(sandbox_state, postgres, lake, bronze_dsn, lake_uri):
    """Return servers with 500 rows in a database of this test."""
    there = Servers(sandbox_state, postgres, lake, bronze_dsn.rpartition("/")[2])
    employees.fill(there, 500)
    return there


@pytest.fixture
def place(lake_uri):
    """Return where a contender works: below this test's prefix."""
    return lambda number, contender: f"{lake_uri.rpartition('/')[2]}/{contender.slug}-{number}"


@pytest.fixture
def here(lake_uri):
    """Return where a contender works, the same in each round."""
    return lambda _, contender: f"{lake_uri.rpartition('/')[2]}/{contender.slug}"


def test_contenders_with_equal_gold_count(servers, place):
    """Medallion, a program that goes row by row, and the limit end with the same rows and coordinates."""
    able = [contest.OURS, contest.ROW_BY_ROW, contest.LIMIT]
    rows = list(contest.compete(servers, able, 1, place=place))
    assert [(r["contender"], r["fault"]) for r in rows] == [(c.name, None) for c in able]
    assert all(r["wall"] > 0 and r["s3_written_mb"] > 0 for r in rows)


def test_each_kind_of_change_is_followed(servers, here):
    """New, changed and deleted rows and nothing at all arrive in the same Gold."""
    employees.publish(servers)
    changes = [lambda *_: None, employees.insert, employees.update_recent, employees.update_random]
    changes += [employees.nothing, employees.delete_random]
    rounds = contest.compete(
        servers, [contest.BY_LOG], len(changes), place=here, prepare=lambda number: changes[number](servers, 5)
    )
    assert [r["fault"] for r in rounds] == [None] * len(changes)
    trial_table.drop_slots(servers)


def test_a_follower_that_keeps_deleted_rows_is_void(servers, here):
    """A run that looks for changed rows does not see a delete, and the table says so."""
    _, row = contest.compete(
        servers,
        [contest.OURS],
        2,
        place=here,
        prepare=lambda number: number and employees.delete_random(servers, 5),
    )
    assert row["fault"] == "Gold keeps rows that the source no longer has"


def test_a_gold_that_differs_is_void(servers, here):
    """A row that was changed in Gold by hand voids the result, and the table names no ratio."""
    list(contest.compete(servers, [contest.OURS], 1, place=here))
    table = DeltaTable(f"s3://{servers.lake.bucket}/{here(0, contest.OURS)}/gold", storage_options=servers.lake.options)
    table.update(new_values={"city_id": 0}, predicate="id = 7")
    (row,) = contest.compete(servers, [contest.OURS], 1, place=here)
    assert row["fault"] == "Gold differs from the source: 500 rows of 500"
    assert summaries([row])["medallion"]["first_to_it"] is None


def test_a_follower_that_misses_updates_is_void(servers, here):
    """The program that finds new rows only is void as soon as a row changes."""
    able = [contest.ROW_BY_ROW]
    first, second = contest.compete(
        servers, able, 2, place=here, prepare=lambda number: number and employees.update_recent(servers, 5)
    )
    assert first["fault"] is None
    assert second["fault"].startswith("Gold differs from the source")


def test_rows_are_as_many_as_asked_for(servers):
    """The generated table is whole: each id once, a postcode for most."""
    with psycopg.connect(servers.uri) as connection:
        found = connection.execute("SELECT count(DISTINCT id), max(id), count(postcode) FROM employees").fetchone()
    assert found == (500, 500, 495)


def test_a_table_has_stages_and_ratios(servers, place):
    """Below the table are the times of our stages, and their sum without the start of Python."""
    table = summaries(list(contest.compete(servers, [contest.OURS, contest.LIMIT], 1, place=place)), 500)
    shown = markdown("initial load: rows 500", table)
    assert "| rows/s per core | USD per billion rows |" in shown
    cpu = table["medallion"]["measured"]["cpu"]["median"]
    assert table["medallion"]["rates"] == pytest.approx({"per_core": 500 / cpu, "usd": cpu * 0.05 / 3600 * 2e6})
    assert "| medallion / it, wall | medallion / it, CPU | medallion / it, memory |" in shown
    assert table["medallion"]["first_to_it"] == {"wall": 1, "cpu": 1, "peak_mb": 1}
    assert table["limit"]["first_to_it"]["wall"] > 1
    ours = next(line for line in shown.splitlines() if line.startswith("- medallion: imports "))
    assert "write_gold" in ours
    assert "all without the start of Python" in ours
    assert 0 < table["medallion"]["without_start"]["wall"] < table["medallion"]["measured"]["wall"]["median"]


def test_what_a_contender_wrote_is_discarded(servers, place, lake_uri):
    """With its turn checked, nothing of a contender's lake or folder is left."""
    list(contest.compete(servers, [contest.OURS], 1, place=place, finish=servers.discard))
    left = servers.lake.client().list_objects_v2(Bucket=servers.lake.bucket, Prefix=place(0, contest.OURS))
    assert left["KeyCount"] == 0
    assert not (servers.state / "contenders" / place(0, contest.OURS)).exists()


def test_a_contender_that_cannot_do_so_many_rows_is_left_out(capsys):
    """A contender beyond its limit has no turn, and the run says why; at the limit it has."""
    able = [contest.OURS, contest.ROW_BY_ROW]
    assert chosen(able, None, 1_000_000) == able
    assert chosen(able, None, 1_000_001) == [contest.OURS]
    assert capsys.readouterr().out.startswith("row by row is left out above 1M rows: it keeps every value")


def test_rows_arrive_at_a_contender_in_a_loop(servers, lake_uri):
    """A script that runs again and again brings single rows and many at once, and its idle memory is known."""
    employees.publish(servers)
    prefix = lake_uri.rpartition("/")[2]
    looped = replace(contest.BY_LOG, name=f"{prefix}/looped")
    with residents.resident(servers, looped) as running:
        found = watch(servers, looped, looped.slug, running, Plan(inserts=1, many=20, idle=0.1, pause=0.1))
    trial_table.drop_slots(servers)
    assert found["fault"] is None
    assert found["seconds"][0] > 0
    assert found["transaction"] > 0
    assert found["idle"]["memory_mb"] > 0
    assert running.members() == []


def test_a_contender_that_ends_by_itself_is_reported(servers, lake_uri):
    """A script in a loop that fails stops the wait for its rows, with the reason."""
    broken = replace(contest.OURS, name=f"{lake_uri.rpartition('/')[2]}/broken", settings={"pipeline": {}})
    with residents.resident(servers, broken) as running, pytest.raises(ContenderFailed, match="validation error"):
        watch(servers, broken, broken.slug, running, Plan(inserts=1, many=1, idle=0.1))


def test_a_contender_without_its_program_is_left_out(capsys):
    """Who needs a program that is not installed has no turn, and the run says which package brings it."""
    debezium = replace(contest.DEBEZIUM, program=("no-such-java", "openjdk-17-jre-headless"))
    assert chosen([contest.OURS, debezium], None, 100) == [contest.OURS]
    reason = "no-such-java is not installed (Debian's package openjdk-17-jre-headless)"
    assert capsys.readouterr().out == f"debezium is left out: {reason}\n"


@pytest.fixture
def staged(servers, lake_uri):
    """Stage the table, then five changed rows of it, for both ways into Silver."""
    prefix = lake_uri.rpartition("/")[2]
    whole = silver_contest.stage(servers, prefix)
    employees.update_recent(servers, 5)
    return [whole, silver_contest.stage(servers, prefix)]


def test_both_ways_into_silver_end_equal(servers, snowflake_account, staged):
    """The core's way and the one by hand load the same batches, the second with what changed alone."""
    assert [batch.rows for batch in staged] == [500, 5]
    rows = list(silver_contest.compete(servers, snowflake_account, staged, 1))
    outcomes = [(r["batch"], r["contender"], r["fault"]) for r in rows]
    assert outcomes == [(batch, name, None) for batch in (0, 1) for name in silver_contest.CONTENDERS]
    assert all(r["wall"] > 0 and r["server_cpu"] > 0 for r in rows)


def test_two_silvers_that_differ_are_void(servers, snowflake_account, staged):
    """If one loads a row less than the other, or other values, neither counts."""
    for schema, batch in (("LESS", 1), ("MORE", 0), ("OTHER", 0)):
        silver_contest.load(snowflake_account, staged[batch], "by hand", schema)
    with closing(snowflake_account.connect("OTHER")) as connection:
        connection.cursor().execute("UPDATE EMPLOYEES_ENRICHED SET CITY_ID = 0 WHERE ID = 7")
    fault = silver_contest.fault
    assert fault(snowflake_account, ["MORE", "LESS"]) == "the two tables differ: 500 and 5 rows, 500 unlike"
    assert fault(snowflake_account, ["MORE", "OTHER"]) == "the two tables differ: 500 and 500 rows, 1 unlike"
    assert fault(snowflake_account, ["MORE", "MORE"]) is None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.stem)
def test_a_script_explains_itself(script):
    """`--help` says what is measured, and starts nothing."""
    shown = subprocess.run(
        [sys.executable, script, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": "."},
    )
    assert "--rows" in shown.stdout


@pytest.mark.parametrize("name", OTHERS)
def test_another_tool_is_pinned(name):
    """A benchmark that is run again compares with the same versions."""
    pins = pins_of(name).read_text().splitlines()
    assert all("==" in pin for pin in pins if pin and not pin.startswith("#"))
