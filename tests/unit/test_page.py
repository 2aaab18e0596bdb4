"""What the page in Airflow shows is computed from what runs recorded, and a slow lake never makes a request wait."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from threading import Event

import pyarrow as pa
import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.page.background import Background
from include.medallion.page.budget import monthly_budget
from include.medallion.page.details import details
from include.medallion.page.overview import DagState, overview
from include.medallion.page.rows import hidden_columns, shows_data
from include.medallion.page.snapshot import Snapshot
from include.medallion.runs.table import SCHEMA, newest_of_each

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
APPLIED = {"read": 9, "inserted": 7, "updated": 1, "superseded": 1, "replayed": False, "version": 3}
EQUAL = {"live": 9, "missing": 0, "older": 0, "gone": 0, "deleted": 0, "repeated": 0, "different": {}}
COMPARED = {"live": 1200, "missing": 0, "older": 0, "gone": 0, "deleted": 4, "repeated": 0, "different": {"a": 2}}
PEOPLE = Pipeline.model_validate(
    {
        "name": "people",
        "source": {"table": "people", "key": "id"},
        "enrich": {"geocode": {"postcode": "zip", "country": "US", "geocoder": "google_geocoding"}},
        "columns": {"exclude": ["ssn"], "mask": {"email": "sha256"}, "rename": {"email": "mail"}},
        "silver": {"table": "PEOPLE"},
        "gold": {"table": "people"},
    }
)

NEVER_RAN = DagState()


def run(hours_ago: float, **columns: object) -> dict:
    """Return the record of a run that ended some hours before NOW."""
    ended = NOW - timedelta(hours=hours_ago)
    counts = {"read": 10, "quarantined": 1, "unchanged": 0, "lag": 2, "after": 1, "upto": 50}
    lookups = {"keys": 4, "cached": 1, "calls": 3, "spend_usd": 0.015, "resolved": 3, "unresolved": 1}
    texts = {"sinks": json.dumps({"silver": APPLIED, "gold": APPLIED}), "statuses": json.dumps({"OK": 3, "PENDING": 1})}
    names = {"pipeline": "people", "_batch_id": int(10_000 - hours_ago * 10), "kind": "window", "run_id": "r"}
    times = {"started_at": ended - timedelta(seconds=20), "ended_at": ended, "changes": "[]"}
    return {**names, **counts, **lookups, **texts, **times, **columns}


def snapshot(*rows: dict) -> Snapshot:
    """Return a snapshot with these records."""
    runs = newest_of_each(pa.Table.from_pylist(list(rows), SCHEMA))
    return Snapshot(NOW, runs, {"people": {"KEY_IS_NULL": 2, "INFINITE": 1}}, (1, 1))


def line(*rows: dict, state: DagState = NEVER_RAN) -> dict:
    """Return the line of people in the overview."""
    (found,) = overview(snapshot(*rows), {"people": PEOPLE}, {"medallion_people": state}, {}, NOW)
    return found


def test_the_overview_sums_today_and_this_month():
    """Rows are those of this UTC day, spend that of this month; an older month does not count."""
    found = line(run(1), run(13), run(24 * 27))
    assert (found["rows_today"], found["spend"], found["quarantined"]) == (10, 0.03, 3)


def test_a_reconcile_is_no_rows_of_today():
    """The rows that a reconcile compared were not loaded."""
    compared = json.dumps({"silver": COMPARED, "gold": COMPARED})
    assert line(run(1), run(0.5, kind="reconcile", sinks=compared, read=1200))["rows_today"] == 10


def test_a_repeated_run_counts_once():
    """Of two records of one batch the later one counts."""
    assert line(run(1, _batch_id=7), run(0.5, _batch_id=7, read=11))["rows_today"] == 11


def test_the_overview_says_what_airflow_knows():
    """Freshness is the age of the newest successful run, with or without new rows; failures are Airflow's."""
    state = DagState(NOW - timedelta(minutes=3), "failed", 2)
    found = line(state=state)
    assert (found["freshness"], found["last_state"], found["failures"]) == (180.0, "failed", 2)


def test_the_share_of_unresolved_keys():
    """It is that of the keys looked up in the last 30 days; None if there were none."""
    assert line(run(1))["unresolved"] == 0.25
    assert line(run(24 * 31))["unresolved"] is None


def test_a_pipeline_whose_dag_is_hidden_is_no_line():
    """Only pipelines whose DAG the user may see are listed."""
    assert overview(snapshot(run(1)), {"people": PEOPLE}, {}, {}, NOW) == []


def test_a_broken_file_is_a_line_with_its_mistake():
    """A pipeline file with a mistake is listed with the message."""
    states = {"medallion_bad": DagState()}
    (found,) = overview(snapshot(), {"bad": SettingError("bad.yaml: no")}, states, {}, NOW)
    assert (found["name"], found["problem"]) == ("bad", "bad.yaml: no")


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, None), ({"max_calls_per_day": 100}, 15.0), ({"max_calls_per_day": 0}, 0.0)]
)
def test_the_budget_of_a_month_follows_from_the_calls_of_a_day(settings, expected):
    """30 days of November, 100 calls a day, 5 US dollars for 1,000 calls: 15 dollars."""
    document = PEOPLE.model_dump(by_alias=True, exclude_unset=True)
    document["enrich"][0]["geocode"] |= settings
    assert monthly_budget(Pipeline.model_validate(document), {}, NOW) == expected


def test_the_layers_show_the_last_run_and_the_last_reconcile():
    """Each layer has what the last run did to it, its rows by the last reconcile, and its position."""
    compared = json.dumps({"silver": COMPARED, "gold": {**COMPARED, "live": 1199}})
    found = details(snapshot(run(3, kind="reconcile", read=1201, sinks=compared), run(1)), PEOPLE)
    assert [(layer["name"], layer["rows"], layer["position"]) for layer in found["layers"]] == [
        ("Bronze", 1201, "50"),
        ("Staging", None, None),
        ("Silver", 1200, "50"),
        ("Gold", 1199, "50"),
    ]
    assert [layer["last"] for layer in found["layers"]] == [
        *("10 read", "9 staged"),
        *["7 inserted, 1 updated, 1 superseded"] * 2,
    ]


def test_deleted_and_withdrawn_rows_are_shown_where_there_are_any():
    """They are part of a run's row accounting; most runs have none."""
    found = details(snapshot(run(1, sinks=json.dumps({"gold": {**APPLIED, "deleted": 2, "withdrawn": 1}}))), PEOPLE)
    assert found["layers"][3]["last"] == "7 inserted, 1 updated, 2 deleted, 1 withdrawn, 1 superseded"
    assert found["runs"][0]["sinks"]["gold"]["deleted"] == 2


def test_a_pipeline_that_reads_the_log_shows_how_far():
    """Beside the transaction ids, the position of the log as PostgreSQL writes it."""
    found = details(snapshot(run(1, log_position=25_000_000_000)), PEOPLE)
    assert {layer["position"] for layer in found["layers"] if layer["name"] != "Staging"} == {"50, log 5/D21DBA00"}


def test_a_pipeline_without_runs_has_a_page():
    """Before the first run everything is empty, and nothing fails."""
    found = details(snapshot(), PEOPLE)
    assert (found["runs"], found["timeline"], found["cache_hit_rate"]) == ([], [], None)
    assert [layer["name"] for layer in found["layers"]] == ["Bronze", "Staging", "Silver", "Gold"]


def test_the_timeline_has_what_is_out_of_the_ordinary():
    """Schema changes, reconciles and full refreshes are events, newest first; ordinary runs are none."""
    rows = run(3, changes='["column b was added"]'), run(2), run(1.5, kind="reload"), run(1, kind="refresh")
    compared = run(
        0.5, kind="reconcile", sinks=json.dumps({"gold": COMPARED, "silver": EQUAL}), changes='["3 rows read again"]'
    )
    events = details(snapshot(*rows, compared), PEOPLE)["timeline"]
    assert [(event["kind"], event["text"]) for event in events] == [
        ("repair", "3 rows read again"),
        ("reconcile", "source: 10 rows; gold: 1,200 live, 4 deleted, 2 different; silver: 9 live, no difference"),
        ("full refresh", "10 rows read"),
        ("reload", "10 rows read"),
        ("schema change", "column b was added"),
    ]


def test_look_ups_are_counted_by_status():
    """Keys by status, and the share of keys that the cache answered."""
    found = details(snapshot(run(2), run(1)), PEOPLE)
    assert (found["statuses"], found["cache_hit_rate"]) == ({"OK": 6, "PENDING": 2}, 0.25)


def test_masked_and_excluded_columns_are_hidden():
    """Under the names that they have in the sinks."""
    assert hidden_columns(PEOPLE) == {"mail", "ssn"}


@pytest.mark.parametrize(("value", "shown"), [("on", True), ("ON ", True), ("off", False), ("", False)])
def test_rows_are_shown_on_request(value, shown):
    """Rows are off unless the setting says on."""
    assert shows_data({"MEDALLION_PAGE_DATA": value}) is shown


def test_another_value_of_the_setting_is_a_mistake():
    """Neither on nor off: the message names the setting."""
    with pytest.raises(SettingError, match="MEDALLION_PAGE_DATA must be on or off"):
        shows_data({"MEDALLION_PAGE_DATA": "yes"})


def test_a_slow_lake_does_not_make_a_request_wait():
    """The first request waits as long as it says; later ones get the value that was read last, at once."""
    release, asked = Event(), Event()

    def read(previous: int | None) -> int:
        if previous is None:
            return 1
        asked.set()
        release.wait(60)
        return 2

    values = Background(read, max_age=0)
    assert values.newest(60) == (1, None)
    assert values.newest(60) == (1, None)
    assert asked.wait(60)
    assert values.newest(60) == (1, None)
    release.set()


def test_a_lake_that_never_answered_is_said_so():
    """Without any value the request ends after the time that it gave."""
    release = Event()
    values = Background(lambda _: release.wait(60), max_age=0)
    assert values.newest(0) == (None, "no answer in 0 s; still reading")
    release.set()


def test_a_lake_that_fails_leaves_the_last_value():
    """What was read before is shown, with the type of the error, never its message."""

    def read(previous: int | None) -> int:
        if previous is None:
            return 1
        raise OSError("secret")

    values = Background(read, max_age=0)
    values.newest(60)
    values.newest(60)
    values._reading.result(60)
    assert (values.value, values.error) == (1, "the lake cannot be read (OSError)")
