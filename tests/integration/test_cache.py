"""No answer is paid for twice, and no failure becomes a coordinate: whole runs against a fake Google."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from include.medallion.config.sections.tables import Gold, Parts, Silver
from include.medallion.enrich.geocoding import open_geocoding
from include.medallion.errors import ProviderRefused
from include.medallion.geocoders import offline
from include.medallion.lake import delta
from include.medallion.lookups import cache
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE
from include.medallion.model.window import Mode
from include.medallion.staging.parts import LookupCounts
from tests.integration.fake_google import FIVE, insert, paid, set_geocode, statuses
from tests.integration.s3_proxy import meeting

ANSWER = {"latitude": 1.5, "longitude": 2.5, "geocode_status": "OK", KEEP_FOR: timedelta(days=1)}


def test_each_distinct_postcode_is_paid_for_once(people, google):
    """Spellings of one postcode and rows that share it cost one call, over all parts of a run."""
    people.pipeline = people.pipeline.model_copy(update={"parts": Parts(keys_per_part=1, max_parts=4)})
    insert(people, *FIVE, *FIVE, "98052-1234", " 10001 ")
    summary = people.run()
    assert (summary.lookups.keys, summary.lookups.calls) == (5, 5)
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_a_retried_task_pays_nothing_again(people, google):
    """A part that is enriched again, before anything was merged, finds its answers in staging."""
    insert(people, *FIVE)
    window = people.begin()
    (part,) = people.extract(window)
    first, second = (people.enrich(window, part.number).lookups for _ in range(2))
    assert (first.calls, second.calls, second.cached) == (5, 0, 5)
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_later_runs_and_a_full_refresh_pay_for_new_postcodes_only(people, google):
    """Answers outlive the run they were paid in."""
    insert(people, *FIVE[:3])
    people.run()
    insert(people, *FIVE)
    assert people.run().lookups.calls == 2
    lookups = people.run(mode=Mode.REFRESH).lookups
    assert lookups == LookupCounts(rows=8, keys=5, cached=5, calls=0, cost_usd=0, statuses={"OK": 5})
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_another_pipeline_of_the_lake_pays_nothing_again(people, google):
    """The cache is the lake's: a second pipeline with other tables uses it."""
    insert(people, *FIVE)
    people.run()
    changes = {"name": "two", "silver": Silver(table="TWO"), "gold": Gold(table="two")}
    people.pipeline = people.pipeline.model_copy(update=changes)
    assert people.run().lookups.cached == 5
    assert len(google.calls) == 5


def test_a_refusal_half_way_keeps_what_was_paid_and_writes_nothing(people, google):
    """Nothing is in either sink or in quarantine; the next run pays for the rest alone."""
    set_geocode(people, concurrency=1)
    insert(people, *FIVE)
    google.fail("REQUEST_DENIED", postcode="60601")
    with pytest.raises(ProviderRefused):
        people.run()
    assert paid(google)["98052"] == paid(google)["10001"] == 1
    assert people.positions()["silver"] is None
    assert [people.open(table) for table in ("one", "quarantine")] == [None, None]
    google.control({"reset": True})
    assert people.run().lookups.statuses == {"OK": 5}
    assert paid(google) == {**dict.fromkeys(FIVE, 1), "60601": 2}


def test_a_refused_key_stops_the_run_with_nothing_written(people, google):
    """Not a row arrives, and not a row is set aside: it is not the rows' fault."""
    google.control({"keys": []})
    insert(people, *FIVE)
    with pytest.raises(ProviderRefused):
        people.run()
    assert people.positions()["silver"] is None
    assert [people.open(table) for table in ("one", "quarantine")] == [None, None]


def test_an_expired_answer_is_looked_up_again(people, google):
    """What may be kept for no time is paid for by each run that reads it."""
    set_geocode(people, keep_days=1e-9)
    insert(people, "98052")
    people.run()
    assert people.run(mode=Mode.REFRESH).lookups.calls == 1
    assert paid(google) == {"98052": 2}


def test_an_answer_of_another_provider_is_not_used(people, google):
    """After a change of geocoder a full refresh asks the new one; what costs nothing is not cached."""
    metered, free = people.connections, replace(people.connections, environ={})
    insert(people, "98052")
    people.connections = free
    people.run()
    people.connections = metered
    people.run(mode=Mode.REFRESH)
    people.connections = free
    again = people.run(mode=Mode.REFRESH).lookups
    assert (again.cached, again.calls, again.statuses) == (0, 0, {"OK": 1})
    assert {row["geocode_provider"] for row in people.gold()} == {"offline"}
    assert [row["provider"] for row in people._delta("locations")] == ["google_geocoding"]
    assert paid(google) == {"98052": 1}


def test_keys_that_cannot_be_answered_cost_nothing(people, google):
    """A short number and a missing country get their status without a call, and take nothing from the budget."""
    set_geocode(people, max_calls_per_run=1)
    insert(people, "501", "98052", "7")
    summary = people.run()
    assert summary.lookups.statuses == {"INVALID_POSTCODE": 2, "OK": 1}
    assert (summary.lookups.calls, summary.lookups.cached, paid(google)) == (1, 0, {"98052": 1})
    unasked = [row for row in people.gold() if row["geocode_status"] == "INVALID_POSTCODE"]
    assert [(row["geocode_provider"], row["geocoded_at"]) for row in unasked] == [(None, None)] * 2
    assert people.run(mode=Mode.LOOKUPS) is None


def test_the_error_radius_arrives_in_both_sinks(people, google):
    """Each row has the metres from the coordinate to the farthest part of the place, as the provider says."""
    insert(people, "98052")
    people.run()
    (radius,) = {row["geocode_radius_m"] for row in (*people.gold(), *people.silver())}
    assert 1_000 < radius < 100_000


def test_answers_that_an_earlier_version_cached_are_used(people, google):
    """A cache without the column of the radius is read, and gets the column with the next merge."""
    enrichment = open_geocoding(people.pipeline.enrich[0].geocode, people.connections.environ)
    names = [name for name in cache.schema(enrichment).names if name != "geocode_radius_m"]
    now = datetime.now(UTC)
    old = {"country": "US", "postcode": "98052", "latitude": 1.5, "longitude": 2.5, "geocode_status": "OK"}
    old |= {"provider": "google_geocoding", "looked_up_at": now, "expires_at": now + timedelta(days=9)}
    fields = pa.schema([cache.schema(enrichment).field(name) for name in names])
    here = people.connections.lake
    delta.open_or_create(here, "locations", fields, statistics=[], partition_by=["provider"])
    table = pa.Table.from_pylist([{name: old.get(name) for name in names}], fields)
    write_deltalake(here.table("locations"), table, mode="append", storage_options=dict(here.options))
    insert(people, "98052", "10001")
    assert people.run().lookups.cached == 1
    assert {row["postcode"]: row["geocode_radius_m"] is None for row in people.gold()} == {
        "98052": True,
        "10001": False,
    }
    assert paid(google) == {"10001": 1}
    assert "geocode_radius_m" in people._delta("locations")[0]


def test_a_budget_is_never_exceeded_and_the_rest_waits(people, google):
    """Rows over the budget arrive as PENDING without coordinates; each later refresh pays for some of them."""
    set_geocode(people, max_calls_per_run=2)
    people.pipeline = people.pipeline.model_copy(update={"parts": Parts(keys_per_part=2, max_parts=3)})
    insert(people, *FIVE)
    assert people.run().lookups.statuses["PENDING"] >= 3
    assert 1 <= len(google.calls) <= 2
    assert all(s in {("OK", True, True), ("PENDING", False, False)} for s in statuses(people).values())
    for _ in range(4):
        before = len(google.calls)
        people.run(mode=Mode.REFRESH)
        assert len(google.calls) <= before + 2
    assert max(paid(google).values()) == 1


def test_a_budget_of_nothing_asks_nothing(people, google):
    """With a budget of 0 all rows are PENDING and Google is not called."""
    set_geocode(people, max_calls_per_run=0)
    insert(people, *FIVE)
    people.run()
    assert google.calls == []
    assert set(statuses(people).values()) == {("PENDING", False, False)}


def test_rows_of_a_key_that_google_cannot_read_are_set_aside_and_paid_for_once(people, google):
    """Every row of the key is in quarantine as KEY_REFUSED; a refresh does not ask again."""
    google.fail("INVALID_REQUEST", postcode="60601")
    insert(people, "60601", "98052", "60601")
    assert people.run().quarantined == 2
    assert {row["reason"] for row in people.quarantine()} == {"KEY_REFUSED"}
    assert people.run(mode=Mode.REFRESH).quarantined == 2
    assert statuses(people) == {"98052": ("OK", True, True)}
    assert paid(google) == {"60601": 1, "98052": 1}


def test_a_result_in_another_country_is_no_result(people, google):
    """WRONG_COUNTRY is an answer, kept like others, and has no coordinates."""
    google.fail("wrong_country", postcode="60601")
    insert(people, "60601", "98052")
    people.run()
    assert people.run(mode=Mode.REFRESH).lookups.calls == 0
    assert statuses(people) == {"60601": ("WRONG_COUNTRY", False, False), "98052": ("OK", True, True)}


def test_answers_merged_while_they_are_read_are_found(people, lake):
    """A staged file that another run merges, and deletes, between its opening and its reading is read in the table."""
    enrichment = open_geocoding(people.pipeline.enrich[0].geocode, people.connections.environ)
    now = datetime.now(UTC)
    here = people.connections.lake
    answer = pa.Table.from_pylist([ANSWER], enrichment.answers.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE)))
    cache.stage_answers(here, enrichment, [("US", "98052")], answer, now)
    read = re.compile(r"GET .*/_lookups/.*\.parquet$")

    with meeting(lake.options["AWS_ENDPOINT_URL"], lambda: cache.merge(here, enrichment), at=read) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.server_port}"
        reader = replace(here, options={**here.options, "AWS_ENDPOINT_URL": endpoint})
        found = [key for some, _ in cache.find_answers(reader, enrichment, [("US", "98052")], now) for key in some]
    assert proxy.answers[0] == 404
    assert found == [("US", "98052")]


def test_answers_merged_at_the_same_time_are_all_kept(people, lake):
    """A merge that meets another pipeline's, of the same key and another, loses neither's answers."""
    enrichment = open_geocoding(people.pipeline.enrich[0].geocode, people.connections.environ)
    now = datetime.now(UTC)
    here = people.connections.lake

    def keep(*postcodes):
        answers = pa.Table.from_pylist(
            [ANSWER] * len(postcodes), enrichment.answers.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE))
        )
        cache.stage_answers(here, enrichment, [("US", p) for p in postcodes], answers, now)

    keep("00001")
    cache.merge(here, enrichment)
    keep("98052", "10001")

    def meanwhile():
        keep("10001", "60601")
        cache.merge(here, enrichment)

    with meeting(lake.options["AWS_ENDPOINT_URL"], meanwhile) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.server_port}"
        cache.merge(replace(here, options={**here.options, "AWS_ENDPOINT_URL": endpoint}), enrichment)
    table = DeltaTable(here.table("locations"), storage_options=dict(here.options)).to_pyarrow_table()
    assert sorted(table["postcode"].to_pylist()) == ["00001", "10001", "60601", "98052"]
    assert proxy.answers[0] == 412


def test_a_third_of_calls_failing_makes_no_false_coordinate(people, google):
    """Whichever calls fail, a row has the true place or none at all, never (0, 0), and both sinks agree."""
    google.control({"seed": 7})
    for kind in ("OVER_QUERY_LIMIT", "503", "disconnect", "null_island", "no_geometry", "wrong_country"):
        google.fail(kind, share=0.05)
    set_geocode(people, concurrency=16, max_attempts=10)
    known = [f"{n:05}" for n in range(98001, 98120) if offline.locate("US", f"{n:05}").latitude]
    insert(people, *known)
    found = people.run().lookups.statuses
    statuses(people)
    assert {"OK", "ZERO_RESULTS", "WRONG_COUNTRY"} == set(found)
    for row in people.gold():
        true = offline.locate("US", row["postcode"])
        place = (true.latitude, true.longitude) if row["geocode_status"] == "OK" else (None, None)
        assert (row["latitude"], row["longitude"]) == place
