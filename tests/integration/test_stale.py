"""The refresh of look-ups: PENDING and too old answers are renewed in both sinks, within budget, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deltalake import DeltaTable

from include.medallion.model.window import Mode
from tests.integration.fake_google import FIVE, insert, paid, set_geocode, statuses

AT_ONCE_OLD = {"keep_days": 1e-9, "keep_missing_days": 1e-9}
RENEWED = {"latitude", "longitude", "geocode_status", "geocode_radius_m", "place_id", "geocode_provider"}


def refresh(people):
    """Run a refresh; return its summary, None if nothing was due."""
    return people.run(mode=Mode.LOOKUPS)


def stage(people):
    """Take a refresh as far as its enriched parts; return its window."""
    window = people.begin(mode=Mode.LOOKUPS)
    people.stage(window)
    return window


def apply_to_both(people, window):
    """Apply a staged refresh to both sinks."""
    return [people.apply(window, sink) for sink in ("silver", "gold")]


@pytest.fixture
def waiting(people, google):
    """Lend a table of five rows that all wait for their answer, and one without a postcode."""
    set_geocode(people, max_calls_per_run=0)
    insert(people, *FIVE)
    people.sql("INSERT INTO people (postcode) VALUES (NULL)")
    people.run()
    set_geocode(people)
    return people


def test_rows_over_the_budget_get_their_answers_in_both_sinks(waiting, google):
    """All that waited have coordinates after a refresh without a budget; each key cost one call."""
    summary = refresh(waiting)
    assert (summary.read, summary.sinks["silver"].updated, summary.sinks["gold"].updated) == (5, 5, 5)
    assert statuses(waiting) == {**dict.fromkeys(FIVE, ("OK", True, True)), None: ("NO_POSTCODE", False, False)}
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_a_refresh_keeps_to_the_budget_and_goes_on_the_next_day(waiting, google):
    """With two calls a run, five keys take three refreshes; a row that stays PENDING is not written again."""
    set_geocode(waiting, max_calls_per_run=2)
    summaries = [refresh(waiting) for _ in range(4)]
    assert [s and (s.read, s.unchanged, s.sinks["gold"].updated) for s in summaries] == [
        (5, 3, 2), (3, 1, 2), (1, 0, 1), None,
    ]  # fmt: skip
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_nothing_due_changes_nothing(waiting):
    """After a refresh the next one reads no rows and makes no version of Gold."""
    refresh(waiting)
    lake = waiting.connections.lake
    before = DeltaTable(lake.table("one"), storage_options=dict(lake.options)).version()
    assert refresh(waiting) is None
    assert DeltaTable(lake.table("one"), storage_options=dict(lake.options)).version() == before


def test_a_refresh_moves_no_watermark(waiting):
    """Both sinks hold what they held; the next window reads only what is new."""
    before = waiting.positions()
    refresh(waiting)
    assert waiting.positions() == before
    insert(waiting, "98052")
    assert waiting.run().read == 1


def test_only_what_enrichments_add_changes(people, google):
    """Every other column of a renewed row, its version among them, stays as it was."""
    set_geocode(people, **AT_ONCE_OLD)
    insert(people, *FIVE)
    people.run()
    before = people.gold()
    batch = refresh(people).batch_id
    changed = [{name for name in row if row[name] != old[name]} for row, old in zip(people.gold(), before, strict=True)]
    assert changed == [{"geocoded_at", "_batch_id", "_loaded_at"}] * 5
    assert {row["_batch_id"] for row in people.silver()} == {batch}
    assert people.silver() == people.gold()


def test_answers_that_are_too_old_are_asked_for_again(people, google):
    """Found places and missing ones are both renewed, with the time of the new answer."""
    set_geocode(people, **AT_ONCE_OLD)
    insert(people, "98052", "00000")
    people.run()
    before = {row["postcode"]: row["geocoded_at"] for row in people.gold()}
    refresh(people)
    assert paid(google) == {"98052": 2, "00000": 2}
    assert all(row["geocoded_at"] > before[row["postcode"]] for row in people.gold())


def test_an_old_answer_that_cannot_be_renewed_is_nulled_out_everywhere(people, google):
    """Over the budget, its coordinates leave both sinks and the cache, and the row waits; the next day it is found."""
    set_geocode(people, **AT_ONCE_OLD)
    insert(people, "98052")
    people.run()
    set_geocode(people, **AT_ONCE_OLD, max_calls_per_run=0)
    refresh(people)
    assert statuses(people) == {"98052": ("PENDING", False, False)}
    assert [row[name] for row in people.gold() for name in ("place_id", "geocode_provider", "geocoded_at")] == [
        None
    ] * 3
    assert people._delta("locations") == []
    set_geocode(people)
    refresh(people)
    assert statuses(people) == {"98052": ("OK", True, True)}


def test_an_old_answer_is_kept_if_the_file_says_so(people, google):
    """`expire: keep`: over the budget nothing is written, and both sinks keep what they have."""
    set_geocode(people, **AT_ONCE_OLD)
    insert(people, "98052")
    people.run()
    before = people.gold()
    set_geocode(people, **AT_ONCE_OLD, expire="keep", max_calls_per_run=0)
    assert refresh(people).unchanged == 1
    assert people.gold() == people.silver() == before


def test_answers_that_later_refreshes_cannot_renew_are_renewed_early(people, google):
    """Five answers that expire in one hour, two calls a run: two are renewed early, the others stay."""
    set_geocode(people, keep_days=2.5)
    insert(people, *FIVE)
    people.run()
    before = {row["postcode"]: row for row in people.gold()}
    set_geocode(people, keep_days=2.5, max_calls_per_run=2)
    assert (done := refresh(people)).sinks["gold"].updated == 2
    assert (done.lookups.calls, done.lookups.keys - done.lookups.cached) == (2, 2)
    after = {row["postcode"]: row for row in people.gold()}
    renewed = {code for code in FIVE if after[code]["geocoded_at"] > before[code]["geocoded_at"]}
    assert sorted(paid(google).values()) == [1, 1, 1, 2, 2]
    assert {code for code, count in paid(google).items() if count > 1} == renewed
    assert {code: row for code, row in after.items() if code not in renewed} == {
        code: row for code, row in before.items() if code not in renewed
    }
    assert people.silver() == people.gold()


def test_a_budget_that_suffices_renews_nothing_early(people, google):
    """With three calls a run, two refreshes are in time for five answers that expire in two days and a half."""
    set_geocode(people, keep_days=2.5)
    insert(people, *FIVE)
    people.run()
    set_geocode(people, keep_days=2.5, max_calls_per_run=3)
    assert refresh(people) is None
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_offline_answers_do_not_age(people):
    """What packages ship costs nothing and has no term: no refresh reads it."""
    people.connections = replace(people.connections, environ={})
    set_geocode(people, **AT_ONCE_OLD)
    insert(people, *FIVE)
    people.run()
    assert refresh(people) is None


def test_a_row_that_changes_meanwhile_is_left_to_its_own_batch(waiting):
    """A newer version that arrives between a refresh's reading and its writing stays as it is, in both sinks."""
    window = stage(waiting)
    waiting.sql("UPDATE people SET postcode = '33101' WHERE postcode = '98052'")
    waiting.run()
    before = {row["id"]: row for row in waiting.gold()}
    applied = apply_to_both(waiting, window)
    assert [(a.updated, a.superseded) for a in applied] == [(4, 1)] * 2
    assert waiting.gold()[0] == before[1]
    assert waiting.silver() == waiting.gold()


def test_a_row_that_is_deleted_meanwhile_stays_deleted(waiting):
    """A refresh brings no row back, neither one that is marked nor one that is gone."""
    window = stage(waiting)
    lake = waiting.connections.lake
    table = DeltaTable(lake.table("one"), storage_options=dict(lake.options))
    table.update(updates={"_deleted_at": "'2026-01-01T00:00:00Z'"}, predicate="id = 1")
    table.delete("id = 2")
    with waiting.account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE ONE SET _DELETED_AT = '2026-01-01T00:00:00Z'::TIMESTAMP_TZ(6) WHERE ID = 1")
        cursor.execute("DELETE FROM ONE WHERE ID = 2")
    assert [(a.updated, a.superseded) for a in apply_to_both(waiting, window)] == [(3, 2)] * 2
    assert [(r["id"], r["_deleted_at"] is None) for r in waiting.gold()] == [
        (1, False), (3, True), (4, True), (5, True), (6, True),
    ]  # fmt: skip
    assert waiting.silver() == waiting.gold()


def test_a_replayed_refresh_changes_nothing(waiting, google):
    """Each step of a refresh may run again, also after a newer one."""
    window = stage(waiting)
    apply_to_both(waiting, window)
    after = waiting.gold()
    apply_to_both(waiting, window)
    assert waiting.gold() == waiting.silver() == after
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_a_refresh_that_died_between_the_sinks_is_made_good_by_the_next(waiting, google):
    """Silver alone has the answers: the next refresh finds the rows in Gold, pays nothing, and both are equal."""
    window = stage(waiting)
    waiting.apply(window, "silver")
    assert waiting.silver() != waiting.gold()
    assert refresh(waiting).lookups.calls == 0
    assert set(statuses(waiting).values()) == {("OK", True, True), ("NO_POSTCODE", False, False)}
    assert paid(google) == dict.fromkeys(FIVE, 1)


def test_before_the_first_run_nothing_is_due(people):
    """Without a Gold table there is nothing to refresh."""
    insert(people, "98052")
    assert refresh(people) is None


def test_what_came_of_an_answer_travels_with_the_row(people, google):
    """Status, precision, place, provider and time of the look-up are in both sinks."""
    insert(people, "98052")
    people.run()
    (row,) = people.gold()
    assert {name for name in RENEWED if row[name] is None} == set()
    assert (row["geocode_provider"], row["geocode_precision"]) == ("google_geocoding", "APPROXIMATE")
    assert row["place_id"]
    assert row["geocoded_at"] is not None
    assert people.silver() == [row]
