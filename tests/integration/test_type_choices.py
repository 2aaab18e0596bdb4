"""What a pipeline file chooses: other types, and what becomes of values out of range; no old version stays current."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from include.medallion.errors import SettingError
from include.medallion.gold.write import rewrite
from include.medallion.model.differences import summary_line
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

LAST = datetime.max.replace(tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)
DATED = "CREATE TABLE one (id int PRIMARY KEY, postcode text, valid_to timestamptz DEFAULT 'infinity', d date, t time)"
TOLERANT = {"min_bad_rows": 100}


@pytest.fixture
def pipeline(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table and a pipeline with these settings."""

    def make(*statements, **settings):
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"}, **settings)
        one.sql(*statements)
        return one

    return make


def both(one, *names):
    """Return the values of live rows, which both sinks hold alike."""
    gold, silver = (
        [tuple(row[n] for n in names) for row in rows if row["_deleted_at"] is None]
        for rows in (one.gold(), one.silver())
    )
    assert gold == silver
    return gold


def test_a_table_whose_rows_are_valid_until_infinity_is_loaded(pipeline):
    """With `clamp`, infinity is the last moment that the sinks hold; with null, in another column, it is NULL."""
    one = pipeline(
        DATED,
        "INSERT INTO one (id) SELECT generate_series(1, 60)",
        "INSERT INTO one VALUES (61, NULL, '-infinity', 'infinity', '24:00')",
        "INSERT INTO one VALUES (62, NULL, '2021-01-01', '2021-01-01')",
        out_of_range={"default": "clamp", "d": None},
    )
    one.run()
    rows = {row[0]: row[1:] for row in both(one, "id", "valid_to", "d")}
    assert len(rows) == 62
    assert rows[1] == (LAST, None)
    assert rows[61] == (FIRST, None)
    assert rows[62] == (datetime(2021, 1, 1, tzinfo=UTC), date(2021, 1, 1))
    assert {row["t"] for row in one.silver()} == {None, time(23, 59, 59, 999999)}


PRINTED = [
    ("valid_to", "infinity"),
    ("valid_to", "-infinity"),
    ("valid_to", "0044-03-15 12:00:00.5+00 BC"),
    ("valid_to", "294276-12-31 23:59:59.999999+00"),
    ("d", "infinity"),
    ("d", "-infinity"),
    ("d", "4713-01-01 BC"),
    ("d", "5874897-12-31"),
    ("t", "24:00:00"),
]


def test_the_quarantine_holds_the_value_as_postgres_prints_it(pipeline):
    """Infinity, BC and far years are readable in the quarantine."""
    one = pipeline(DATED, quarantine=TOLERANT)
    one.sql("ALTER TABLE one ALTER valid_to DROP DEFAULT")
    one.sql(*(f"INSERT INTO one (id, {c}) VALUES ({n}, '{v}')" for n, (c, v) in enumerate(PRINTED)))
    one.run()
    found = {int(*json.loads(row["key"])): json.loads(row["row"]) for row in one.quarantine()}
    assert [(c, found[n][c]) for n, (c, _) in enumerate(PRINTED)] == PRINTED


def test_a_reconcile_reports_the_rows_in_quarantine(pipeline):
    """Rows that no sink holds are not missing, and not silent either."""
    one = pipeline(DATED, "INSERT INTO one SELECT n, NULL, nullif(now(), now()) FROM generate_series(1, 100) n")
    one.sql("UPDATE one SET valid_to = 'infinity' WHERE id <= 10")
    one.run()
    report = reconcile(one.pipeline, one.connections)
    assert (report.source, report.waiting, report.faults) == (100, 10, 0)
    assert "source 100 rows, 0 of them with a key that no sink can hold, 10 in quarantine" in summary_line(report)


def test_another_choice_reads_the_rows_again_and_replaces_no_table(pipeline):
    """Quarantined rows arrive once `out_of_range` says how; a second change takes the values along."""
    one = pipeline(DATED, "INSERT INTO one (id) VALUES (1)", "INSERT INTO one VALUES (2, NULL, '2021-01-01')")
    one.run()
    assert both(one, "id") == [(2,)]
    one.set(out_of_range="clamp")
    assert "all rows read again" in one.run().schema_changes[0]
    assert both(one, "id", "valid_to")[0] == (1, LAST)
    assert [row["closed_at"] is not None for row in one.quarantine()] == [True]
    one.set(out_of_range={"default": None})
    one.run()
    assert both(one, "id", "valid_to")[0] == (1, None)


def test_a_key_out_of_range_is_always_set_aside(bronze_dsn, lake_uri, lake, silver):
    """Two keys must not become one, so `clamp` and `null` do not apply to a key; a replay finds it once it is valid."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "d"}, out_of_range="clamp")
    one.sql(
        "CREATE TABLE one (d date PRIMARY KEY, postcode text)", "INSERT INTO one VALUES ('infinity'), ('-infinity')"
    )
    one.sql("INSERT INTO one VALUES ('9999-12-31')")
    one.run()
    assert both(one, "d") == [(date(9999, 12, 31),)]
    assert len(one.quarantine()) == 2
    one.sql("DELETE FROM one WHERE d = '-infinity'")
    one.run(mode=Mode.QUARANTINE)
    assert {row["key"]: row["closed_at"] is None for row in one.quarantine()} == {
        '["-infinity"]': False,
        '["infinity"]': True,
    }


NUMBERS = "CREATE TABLE one (id int PRIMARY KEY, postcode text, amount numeric, wide numeric(50,2), n numeric(10,2))"


def test_unbounded_numbers_become_numbers_where_the_file_says_so(pipeline):
    """By column and by type; a value that would be rounded is set aside, zeros at the end are not."""
    one = pipeline(
        NUMBERS,
        "INSERT INTO one VALUES (1, NULL, 1.500000, 7, 1.5), (2, NULL, 0.00001, 7, 1), (3, NULL, 'NaN', 7, 1)",
        "INSERT INTO one VALUES (4, NULL, 12345678901234567, 7, 1), (5, NULL, NULL, 1e40, 1)",
        types={"amount": "number(20,4)", "numeric": "double"},
    )
    one.run()
    assert both(one, "id", "amount", "wide", "n") == [
        (1, Decimal("1.5000"), 7.0, Decimal("1.50")),
        (5, None, 1e40, Decimal("1.00")),
    ]
    found = {int(*json.loads(row["key"])): row["reason"] for row in one.quarantine()}
    assert found == {2: "DOES_NOT_FIT", 3: "NOT_A_NUMBER", 4: "DOES_NOT_FIT"}


def test_a_check_and_a_plan_name_the_numbers_that_arrive_as_text(pipeline, tmp_path):
    """Unless the file chooses their type; without its source, a file is checked all the same."""
    one = pipeline(NUMBERS, types={"amount": "number(20,4)"})
    checked = one.command(tmp_path, "check", str(tmp_path / "one.yaml"))
    note = "WARNING: wide is numeric(50,2): it arrives as its exact text"
    assert (checked.returncode, checked.stdout.count("WARNING"), note in checked.stdout) == (0, 1, True)
    assert note.removeprefix("WARNING: ") in one.command(tmp_path, "plan", "one").stdout
    one.dsn = one.dsn.rpartition("/")[0] + "/nowhere"
    unread = one.command(tmp_path, "check", str(tmp_path / "one.yaml"))
    assert (unread.returncode, unread.stdout) == (0, f"{tmp_path / 'one.yaml'}: good\n")


def test_another_type_replaces_the_tables(pipeline):
    """A type that the file chooses later is the column's in both sinks, with all values."""
    one = pipeline(NUMBERS, "INSERT INTO one (id, amount) VALUES (1, 1.5)")
    one.run()
    assert both(one, "amount") == [("1.5",)]
    one.set(types={"numeric": "number(38,10)"})
    assert "tables replaced" in one.run().schema_changes[0]
    assert both(one, "amount") == [(Decimal("1.5"),)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"types": {"amuont": "double"}}, "types names neither columns of the table nor types .*'amuont'"),
        ({"types": {"postcode": "double", "d": "double"}}, "column d cannot become double"),
        ({"out_of_range": {"vaild_to": "clamp"}}, "out_of_range names columns .*'vaild_to'"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(pipeline, settings, words):
    """A wrong name, and a number made of dates, stop the run before anything is read."""
    one = pipeline(DATED, **settings)
    with pytest.raises(SettingError, match=words):
        one.run()


@pytest.mark.parametrize("deletes", ["soft", "hard"])
@pytest.mark.parametrize("merged", [False, True])
def test_the_old_version_of_a_row_that_became_invalid_is_not_current(pipeline, monkeypatch, deletes, merged):
    """It is withdrawn from both sinks in the run that quarantines the new one, and comes back once it is valid."""
    one = pipeline(DATED, "INSERT INTO one SELECT n, NULL, now() FROM generate_series(1, 3) AS n", deletes=deletes)
    one.run()
    if merged:
        monkeypatch.setattr(rewrite, "MAX_BATCH_BYTES", 0)
    one.sql("UPDATE one SET valid_to = 'infinity' WHERE id = 2", "UPDATE one SET postcode = '98052' WHERE id = 3")
    summary = one.run()
    assert {name: (sink.updated, sink.withdrawn) for name, sink in summary.sinks.items()} == {
        "silver": (1, 1),
        "gold": (1, 1),
    }
    assert both(one, "id", "postcode") == [(1, None), (3, "98052")]
    assert reconcile(one.pipeline, one.connections).lost == 0
    one.sql("UPDATE one SET valid_to = now() WHERE id = 2")
    one.run()
    assert [row[0] for row in both(one, "id")] == [1, 2, 3]
