"""Rows that break the contract: set aside with a reason, counted, never dropped."""

from __future__ import annotations

import json

import pytest

from include.medallion.config.sections.tables import Parts, Quarantine
from include.medallion.errors import QuarantineOverflow
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable

DDL = "CREATE TABLE people (code text UNIQUE, name text, born date, postcode text)"
GOOD = "INSERT INTO people VALUES ('a', 'Ann', '2000-01-01', '98052'), ('b', 'Bob', '2000-01-01', NULL)"
NAMELESS = "INSERT INTO people VALUES (NULL, 'Cid', NULL, NULL)"
ANCIENT = "INSERT INTO people VALUES ('d', 'Dee', '0044-03-15 BC', '98052')"


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend an empty table whose key may be NULL."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "code"})
    people.sql(DDL)
    return people


def limit(people, **limits):
    """Set the pipeline's limits for bad rows."""
    people.pipeline = people.pipeline.model_copy(update={"quarantine": Quarantine(**limits)})


def test_a_row_without_a_key_is_set_aside_and_the_others_arrive(people):
    """Both sinks get the good rows; the bad one is in the table, whole, with reason and batch."""
    people.sql(GOOD, NAMELESS)
    batch = people.run().batch_id
    assert [row["name"] for row in people.gold()] == ["Ann", "Bob"]
    assert people.silver() == people.gold()
    (found,) = people.quarantine()
    assert (found["pipeline"], found["reason"], found["_batch_id"]) == ("one", "NULL_KEY", batch)
    assert json.loads(found["row"])["name"] == "Cid"
    assert json.loads(found["key"]) == [None]


def test_row_counts_match_with_bad_rows(people):
    """Read is applied and quarantined, for each sink, in the run's summary."""
    people.sql(GOOD, NAMELESS, ANCIENT)
    summary = people.run()
    assert (summary.read, summary.quarantined) == (4, 2)
    assert {name: (sink.read, sink.inserted) for name, sink in summary.sinks.items()} == {
        "silver": (2, 2),
        "gold": (2, 2),
    }


def test_a_row_with_a_date_that_no_sink_holds_can_still_be_read(people):
    """The row is JSON, with the date as Postgres prints it."""
    people.sql(ANCIENT)
    people.run()
    (found,) = people.quarantine()
    assert found["reason"] == "OUT_OF_RANGE"
    assert json.loads(found["row"]) == {
        "code": "d", "name": "Dee", "born": "0044-03-15 BC", "postcode": "98052", "_op": "upsert",
    }  # fmt: skip


def test_too_large_a_share_fails_before_silver_and_the_rows_can_be_looked_at(people):
    """The message holds the counts and the setting; neither sink got a row, the table got the bad ones."""
    limit(people, max_share=0.5, min_bad_rows=1)
    people.sql(GOOD, NAMELESS, NAMELESS.replace("Cid", "Cyd"), ANCIENT)
    with pytest.raises(QuarantineOverflow, match=r"3 of 5 rows .*NULL_KEY 2, OUT_OF_RANGE 1.*max_share is 0\.5"):
        people.run()
    assert [row["reason"] for row in people.quarantine()] == ["OUT_OF_RANGE", "NULL_KEY", "NULL_KEY"]
    assert people.positions() == {"silver": None, "gold": None}


def test_a_share_at_the_limit_passes(people):
    """`max_share` itself is allowed."""
    limit(people, max_share=0.5, min_bad_rows=0)
    people.sql(GOOD, NAMELESS, ANCIENT)
    assert people.run().quarantined == 2


def test_few_bad_rows_never_fail_a_run(people):
    """Up to `min_bad_rows` bad rows pass, however large their share."""
    limit(people, max_share=0, min_bad_rows=2)
    people.sql(NAMELESS, ANCIENT)
    assert people.run().quarantined == 2


def test_every_bad_row_counts_also_if_rows_are_equal(people):
    """Indistinguishable rows are one entry, but each counts against the limit."""
    limit(people, max_share=0.5, min_bad_rows=1)
    people.sql(NAMELESS, NAMELESS)
    with pytest.raises(QuarantineOverflow, match="2 of 2 rows"):
        people.run()
    assert len(people.quarantine()) == 1


def test_equal_rows_in_different_parts_are_one_entry(people):
    """Rows without any key are spread over the parts; the same one is set aside once all the same."""
    people.sql(NAMELESS, NAMELESS, NAMELESS)
    window = people.begin()
    people.pipeline = people.pipeline.model_copy(update={"parts": Parts(rows_per_part=1)})
    parts = people.extract(window)
    assert len(parts) == 3
    for part in parts:
        people.enrich(window, part.number)
    for _ in range(2):
        people.apply(window, "silver")
        assert len(people.quarantine()) == 1


def test_a_replayed_batch_sets_nothing_aside_again(people):
    """Loading a batch again, as a retry does, leaves the table's rows as they are."""
    people.sql(GOOD, NAMELESS, ANCIENT)
    window = people.begin()
    people.stage(window)
    people.apply(window, "silver")
    before = people.quarantine()
    people.apply(window, "silver")
    assert len(before) == 2
    assert people.quarantine() == before


def test_the_newest_finding_replaces_an_older_one(people):
    """A row that is bad again, for another reason or not, is one entry: its last state."""
    people.sql(ANCIENT)
    people.run()
    people.sql("UPDATE people SET name = 'Deedee'")
    batch = people.run().batch_id
    (found,) = people.quarantine()
    assert (json.loads(found["row"])["name"], found["_batch_id"]) == ("Deedee", batch)


def test_a_full_refresh_finds_the_same_rows_once(people):
    """Reading everything again sets no row aside twice."""
    people.sql(GOOD, NAMELESS, ANCIENT)
    people.run()
    assert people.run(mode=Mode.REFRESH).quarantined == 2
    assert len(people.quarantine()) == 2


def test_a_batch_of_bad_rows_alone_moves_on(people):
    """When every row is set aside both sinks hold the batch, and the next run reads nothing."""
    people.sql(NAMELESS, ANCIENT)
    summary = people.run()
    assert (summary.read, summary.quarantined) == (2, 2)
    assert [position.batch_id for position in people.positions().values()] == [summary.batch_id] * 2
    assert people.run() is None


def test_a_corrected_row_arrives(people):
    """A bad row that is corrected in the source is in the next batch of both sinks."""
    people.sql(ANCIENT)
    people.run()
    people.sql("UPDATE people SET born = '1944-03-15'")
    assert people.run().quarantined == 0
    assert [row["name"] for row in people.gold()] == ["Dee"]
    assert people.silver() == people.gold()
