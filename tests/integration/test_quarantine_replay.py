"""Entries of the quarantine end: when their row arrives, or when a replay finds it good or gone."""

from __future__ import annotations

import pytest

from include.medallion.config.sections.tables import Quarantine
from include.medallion.model.window import Mode
from tests.integration.fake_google import insert, set_geocode
from tests.integration.one_table import OneTable

NOT_A_NUMBER = "'NaN'"
KEYS = {
    "integer": "7",
    "bigint": "-7",
    "text": "'a ''b'' \\ \"c\"'",
    "varchar(20)": "'é'",
    "char(5)": "'ab'",
    "uuid": "'0b0e6a2e-2f0a-4c8e-9f0a-000000000001'",
    "date": "'2020-02-29'",
    "timestamp": "'2020-02-29 23:59:59.123456'",
    "timestamptz": "'2020-02-29 23:59:59.123456+05'",
    "numeric(10,2)": "7.50",
    "numeric": "1e40",
    "bytea": "'\\x00ff'",
    "boolean": "true",
    "real": "0.1",
    "double precision": "0.1",
}


def replay(table):
    """Run a replay; return its summary, None if no row was found."""
    return table.run(mode=Mode.QUARANTINE)


def entries(table):
    """Give reason and whether it is closed of each entry, in the order of the keys."""
    return [(row["reason"], row["closed_at"] is not None) for row in table.quarantine()]


@pytest.fixture
def amounts(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table with a key of some type, and one bad row in quarantine."""

    def make(type_, value):
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "t", "key": "k"})
        one.sql(f"CREATE TABLE t (k {type_} UNIQUE, amount numeric(10, 2), postcode text)")
        one.sql(f"INSERT INTO t VALUES ({value}, {NOT_A_NUMBER}, '98052')")
        one.run()
        assert entries(one) == [("NOT_A_NUMBER", False)]
        return one

    return make


@pytest.mark.parametrize(("type_", "value"), KEYS.items())
def test_a_row_that_is_still_bad_is_found_by_its_key_and_stays(amounts, type_, value):
    """For a key of any type, the row is read again, and its entry is of the newest batch."""
    one = amounts(type_, value)
    summary = replay(one)
    assert (summary.read, summary.quarantined) == (1, 1)
    (entry,) = one.quarantine()
    assert (entry["_batch_id"], entry["closed_at"]) == (summary.batch_id, None)


def test_a_row_that_is_good_now_arrives_and_its_entry_is_closed(people, google):
    """A postcode that the provider could not read is asked for again once that answer is old."""
    set_geocode(people, keep_missing_days=1e-9)
    google.fail("INVALID_REQUEST", postcode="60601")
    insert(people, "60601", "98052")
    people.run()
    google.faults.clear()
    batch = replay(people).batch_id
    assert [(r["postcode"], r["geocode_status"]) for r in people.gold()] == [("60601", "OK"), ("98052", "OK")]
    assert people.silver() == people.gold()
    (entry,) = people.quarantine()
    assert (entry["closed_by"], entry["closed_at"] is None) == (batch, False)


def test_a_window_that_brings_the_row_closes_its_entry(amounts):
    """A row that is corrected in the source needs no replay."""
    one = amounts("integer", "7")
    one.sql("UPDATE t SET amount = 1")
    one.run()
    assert entries(one) == [("NOT_A_NUMBER", True)]
    assert replay(one) is None


def test_a_window_that_brings_other_rows_closes_nothing(amounts):
    """An entry waits for its own row."""
    one = amounts("integer", "7")
    one.sql("INSERT INTO t VALUES (8, 1, '98052')")
    one.run()
    assert entries(one) == [("NOT_A_NUMBER", False)]


def test_an_entry_whose_row_is_gone_is_closed(amounts):
    """A row that is gone from the source cannot be corrected: the replay of another row closes it."""
    one = amounts("integer", "7")
    one.sql("INSERT INTO t VALUES (8, 'NaN', '98052')")
    one.run()
    one.sql("DELETE FROM t WHERE k = 7")
    assert replay(one).quarantined == 1
    assert entries(one) == [("NOT_A_NUMBER", True), ("NOT_A_NUMBER", False)]


def test_a_row_without_a_key_is_found_again(amounts):
    """Rows whose key is NULL are read again too; once they are corrected their entries are closed."""
    one = amounts("integer", "7")
    one.sql("INSERT INTO t VALUES (NULL, 5, '98052')")
    one.run()
    assert replay(one).quarantined == 2
    one.sql("UPDATE t SET k = 9 WHERE k IS NULL")
    one.run()
    assert replay(one).quarantined == 1
    assert sorted(entries(one)) == [("NOT_A_NUMBER", False), ("NULL_KEY", True)]


def test_a_row_that_is_bad_again_opens_its_entry(amounts):
    """Closed is not forgotten: the next bad version of the row is an open entry again."""
    one = amounts("integer", "7")
    one.sql("UPDATE t SET amount = 1")
    one.run()
    one.sql("UPDATE t SET amount = 'NaN'")
    one.run()
    assert entries(one) == [("NOT_A_NUMBER", False)]


def test_an_old_batch_that_is_loaded_again_opens_nothing(amounts):
    """Replaying the batch that set a row aside does not undo what a newer one has closed."""
    one = amounts("integer", "7")
    one.sql("UPDATE t SET amount = 'NaN'")
    window = one.begin()
    one.stage(window)
    one.apply(window, "silver")
    one.sql("UPDATE t SET amount = 1")
    one.run()
    assert entries(one) == [("NOT_A_NUMBER", True)]
    one.apply(window, "silver")
    one.apply(window, "gold")
    assert entries(one) == [("NOT_A_NUMBER", True)]


def test_a_replay_is_not_bound_by_the_share(amounts):
    """All rows of a replay may be bad: they were before."""
    one = amounts("integer", "7")
    one.pipeline = one.pipeline.model_copy(update={"quarantine": Quarantine(max_share=0, min_bad_rows=0)})
    assert replay(one).quarantined == 1


def test_a_replay_moves_no_watermark(amounts):
    """The next window reads what is new, and no more."""
    one = amounts("integer", "7")
    one.sql("INSERT INTO t VALUES (8, 1, '98052')")
    replay(one)
    assert one.run().read == 1


def test_an_empty_quarantine_reads_nothing(bronze_dsn, lake_uri, lake, silver):
    """Without an open entry a replay is a run without rows."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "t", "key": "k"})
    one.sql("CREATE TABLE t (k int PRIMARY KEY, postcode text)", "INSERT INTO t VALUES (1, '98052')")
    one.run()
    assert replay(one) is None
