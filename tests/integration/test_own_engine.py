"""A user's own function gets what geocoders get: pace, budget, patience, quarantine, refresh, its place in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.tables import Parts
from include.medallion.errors import ProviderRefused, SettingError, Transient
from include.medallion.model.window import Mode
from tests.integration import own_functions
from tests.integration.one_table import OneTable

RETURNS = {"described": "string", "length": "long"}
PLACE = {"geocode": {"postcode": "postcode", "country": "US", "geocoder": "offline"}}
TENS = "INSERT INTO one SELECT n, n % 10, '98052' FROM generate_series(1, 40) AS n"


@pytest.fixture(autouse=True)
def forgotten():
    """Begin with no call made."""
    own_functions.ASKED.clear()


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a pipeline with some enrichments over a table of forty rows with ten keys."""

    def make(*enrich, **more):
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"})
        document = {**one.pipeline.model_dump(by_alias=True), "enrich": list(enrich), **more}
        one.pipeline = Pipeline.model_validate(document)
        one.sql("CREATE TABLE one (id int PRIMARY KEY, a int, postcode text)", TENS)
        return one

    return make


def own(function="counts", keys="a", **settings):
    """Name a function of `own_functions`."""
    call = f"tests.integration.own_functions:{function}"
    return {"function": {"call": call, "keys": keys, "returns": RETURNS, **settings}}


def asked():
    """Give how often each key was asked for."""
    return Counter(key for call in own_functions.ASKED for key in call)


def test_a_call_gets_as_many_keys_as_the_file_says(table):
    """Ten keys, four a call: three calls, each key in one of them."""
    lookups = table(own(keys_per_call=4)).run().lookups
    assert sorted(len(call) for call in own_functions.ASKED) == [2, 4, 4]
    assert (lookups.calls, max(asked().values())) == (3, 1)


def test_a_budget_of_calls_leaves_the_rest_pending(table):
    """Two calls of three keys: six keys are answered, the rows of four wait, and a refresh brings them."""
    one = table(own(keys_per_call=3, max_calls_per_run=2, status_prefix="described"))
    one.run()
    assert Counter(row["described_status"] for row in one.gold()) == {"OK": 24, "PENDING": 16}
    assert one.run(mode=Mode.LOOKUPS).sinks["gold"].updated == 16
    assert {(row["described_status"], row["described"]) for row in one.silver()} == {
        ("OK", f"({n},)") for n in range(10)
    }
    assert (one.silver(), max(asked().values())) == (one.gold(), 1)


def test_an_answer_that_is_too_old_is_renewed_by_a_refresh(table):
    """A tracked function's answers age like the geocoders'."""
    one = table(own(status_prefix="described", keep_days=1e-9))
    one.run()
    assert one.run(mode=Mode.LOOKUPS).sinks["gold"].updated == 40
    assert set(asked().values()) == {2}


def test_without_a_track_there_is_nothing_to_refresh(table):
    """Rows without the time of their look-up are left alone."""
    one = table(own(keep_days=1e-9))
    one.run()
    assert one.run(mode=Mode.LOOKUPS) is None


def test_rows_of_a_refused_key_are_set_aside(table):
    """`_refused` puts the four rows of that key into quarantine, and no other."""
    one = table(own("refuses_sevens"), quarantine={"max_share": 1})
    assert one.run().quarantined == 4
    assert {row["reason"] for row in one.quarantine()} == {"KEY_REFUSED"}
    assert 7 not in {row["a"] for row in one.gold()}


def test_a_failure_that_may_pass_is_tried_again(table):
    """The function says so with Transient; the third try answers."""
    lookups = table(own("fails_twice")).run().lookups
    assert (lookups.calls, lookups.statuses) == (3, {"OK": 10})


def test_a_failure_that_does_not_pass_ends_the_task(table):
    """After `max_attempts` the task fails, to be retried later."""
    with pytest.raises(Transient, match="busy"):
        table(own("fails_twice", max_attempts=2)).run()


def test_a_refusal_stops_at_once(table):
    """ProviderRefused costs one call, and its message is the function's own."""
    with pytest.raises(ProviderRefused, match="set DIRECTORY_KEY"):
        table(own("is_refused", keys_per_call=1, concurrency=4)).run()
    assert len(own_functions.ASKED) == 1


def test_enrichments_run_in_their_order_and_read_what_came_before(table):
    """A function's keys are the coordinates that the geocoder before it has added."""
    one = table(PLACE, own(keys=["latitude", "longitude"]))
    one.run()
    (row,) = one.gold()[:1]
    assert asked() == {(row["latitude"], row["longitude"]): 1}
    assert {r["described"] for r in one.silver()} == {f"({row['latitude']}, {row['longitude']})"}
    assert one.silver() == one.gold()


def test_keys_that_are_in_several_parts_are_asked_for_once(table):
    """Parts are cut by the first key; the second one's keys, which are in all parts, are paid for once all the same."""
    one = table(own(status_prefix="first"), own_renamed(), parts=Parts(keys_per_part=3, max_parts=4).model_dump())
    summary = one.run()
    assert len([call for call in own_functions.ASKED if call == [("98052",)]]) == 1
    assert summary.lookups.statuses["OK"] >= 11
    assert {row["other"] for row in one.gold()} == {"('98052',)"}


def own_renamed():
    """Name a second function, by another key, that adds another column."""
    call = "tests.integration.own_functions:other"
    return {"function": {"call": call, "keys": "postcode", "returns": {"other": "string"}}}


def test_a_key_that_no_enrichment_adds_is_told(table):
    """A column that neither the source nor an enrichment above has is an error that names those there are."""
    with pytest.raises(SettingError, match=r"names columns \['nowhere'\], but the table has"):
        table(own(keys="nowhere")).run()


def test_a_refresh_of_one_leaves_the_others_as_they_are(table):
    """Only what is due of a row is asked for; what other enrichments added stays."""
    one = table(PLACE, own(keys_per_call=3, max_calls_per_run=2, status_prefix="described"))
    one.connections = replace(one.connections, environ={})
    one.run()
    before = {row["id"]: (row["latitude"], row["geocoded_at"]) for row in one.gold()}
    one.run(mode=Mode.LOOKUPS)
    assert {row["id"]: (row["latitude"], row["geocoded_at"]) for row in one.gold()} == before
    assert {row["described_status"] for row in one.gold()} == {"OK"}
    assert one.silver() == one.gold()
