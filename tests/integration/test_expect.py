"""Expectations: rows that do not meet them are counted, set aside, or stop the run before any sink is touched."""

from __future__ import annotations

import pytest

from include.medallion.errors import ContractBroken, QuarantineOverflow, SettingError
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable

CREATE = "CREATE TABLE one (id int PRIMARY KEY, postcode text, name text, age int, salary numeric(10,2))"
ROWS = (
    "INSERT INTO one VALUES (1, '98052', 'ann', 30, 10.50), (2, '10001', 'bob', 200, 20), "
    "(3, '4212', 'ann', NULL, NULL), (4, '60601', NULL, 40, -1)"
)


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table with four rows and a pipeline with these rules."""

    def make(*rules, **settings):
        source = {"table": "one", "key": "id"}
        one = OneTable(bronze_dsn, lake_uri, lake, silver, source, expect=[*rules], **settings)
        one.sql(CREATE, ROWS)
        return one

    return make


def rule(rule, column=None, action="quarantine", **settings):
    """Return an entry of `expect`."""
    return {"rule": rule, "column": column, "action": action, **settings}


def ids(one):
    """Return the keys that both sinks hold."""
    gold, silver = ([row["id"] for row in rows] for rows in (one.gold(), one.silver()))
    assert gold == silver
    return gold


RULES = {
    "a number between bounds": (rule({"between": [0, 150]}, "age"), "age_between", [2]),
    "an exact number": (rule({"between": [0, 20]}, "salary"), "salary_between", [4]),
    "a value that is there": (rule("not_null", "name"), "name_not_null", [4]),
    "a value that occurs once": (rule("unique", "name"), "name_unique", [1, 3]),
    "one of several values": (rule({"in": ["ann"]}, "name"), "name_in", [2]),
    "a text of a form": (rule({"matches": "[0-9]{5}"}, "postcode"), "postcode_matches", [3]),
    "an SQL condition": (rule({"expression": "salary >= 0 AND age < 100"}, name="sane"), "sane", [2, 4]),
    "a column that an enrichment adds": (rule({"in": ["OK"]}, "geocode_status"), "geocode_status_in", [3]),
    "a condition over both": (
        rule({"expression": "latitude > 40 OR salary > 15"}, name="north"),
        "north",
        [],
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_rows_that_do_not_meet_a_rule_are_quarantined_under_its_name(table, case):
    """The sinks get the other rows with all their values, the quarantine gets these, the summary counts them."""
    expectation, label, bad = RULES[case]
    one = table(expectation)
    summary = one.run()
    assert summary.expectations == {label: len(bad)}
    assert summary.quarantined == len(bad)
    assert ids(one) == [number for number in (1, 2, 3, 4) if number not in bad]
    held = {row["id"]: (row["name"], row["age"], row["salary"]) for row in one.gold()}
    source = {row[0]: row[2:] for row in one.sql("SELECT * FROM one") if row[0] not in bad}
    assert held == source
    if bad:
        assert [(entry["key"], entry["reason"]) for entry in one.quarantine()] == [(f'["{n}"]', label) for n in bad]


def test_a_warning_counts_and_loads(table):
    """With `warn` every row arrives, and the summary says how many do not meet the rule."""
    one = table(rule({"between": [0, 150]}, "age", "warn"), rule("not_null", "id", "warn"))
    assert one.run().expectations == {"age_between": 1, "id_not_null": 0}
    assert ids(one) == [1, 2, 3, 4]


def test_a_failure_stops_before_any_sink_is_touched(table):
    """With `fail` nothing is loaded or set aside; with the row corrected, the next run brings all rows."""
    one = table(rule({"between": [0, 150]}, "age", "fail"), rule("not_null", "name"))
    with pytest.raises(
        ContractBroken, match=r"expectations of pipeline one: age_between \(1 rows\). Nothing was loaded"
    ):
        one.run()
    assert one.open("one") is None
    assert one.open("quarantine") is None
    one.sql("UPDATE one SET age = 20 WHERE id = 2")
    assert one.run().expectations == {"age_between": 0, "name_not_null": 1}
    assert ids(one) == [1, 2, 3]


def test_a_corrected_row_arrives_and_its_entry_is_closed(table):
    """A row that was set aside by a rule arrives once it meets it, also by a replay after the rule has changed."""
    one = table(rule({"between": [0, 150]}, "age"))
    one.run()
    one.set(expect=[rule({"between": [0, 250]}, "age")])
    one.run(mode=Mode.QUARANTINE)
    assert ids(one) == [1, 2, 3, 4]
    assert all(entry["closed_at"] for entry in one.quarantine())


def test_values_are_unique_among_all_parts_of_a_batch(table):
    """A value that occurs in two parts is found in both."""
    one = table(rule("unique", "name", "warn"), parts={"rows_per_part": 1, "max_parts": 4, "keys_per_part": 1})
    one.sql("ANALYZE one")
    assert one.run().expectations == {"name_unique": 2}


def test_rules_without_an_enrichment(table):
    """A pipeline that enriches nothing evaluates its rules, too."""
    one = table(rule({"between": [0, 150]}, "age"))
    one.set(enrich=[])
    assert one.run().expectations == {"age_between": 1}
    assert ids(one) == [1, 3, 4]


def test_too_many_bad_rows_stop_the_run(table):
    """Rows that a rule sets aside count towards the share that the quarantine tolerates."""
    one = table(rule({"in": ["eve"]}, "name"), quarantine={"min_bad_rows": 1, "max_share": 0.5})
    with pytest.raises(QuarantineOverflow, match=r"3 of 4 rows are invalid \(name_in 3\)"):
        one.run()


def test_a_rule_over_a_missing_column_is_refused(table):
    """A misspelt column stops the run before it reads."""
    one = table(rule({"between": [0, 150]}, "agee"))
    with pytest.raises(SettingError, match=r"pipeline one names columns \['agee'\]"):
        one.begin()
