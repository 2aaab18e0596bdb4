"""Documents, arrays and times: exact in both sinks, also when rows change and when types did."""

from __future__ import annotations

import json
from datetime import time

import pytest

from include.medallion.gold.write import rewrite
from tests.integration.one_table import OneTable


@pytest.fixture
def one(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of a document, an array and a time."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"})
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, doc json, binary_doc jsonb, xs float8[], t time)",
        """INSERT INTO one VALUES (1, NULL, '{"a": 1}', '{"a": 1}', '{0,1}', '12:00')""",
        "INSERT INTO one VALUES (2)",
    )
    return one


def test_a_changed_list_is_rewritten_and_another_copied(one, monkeypatch):
    """Gold's files are rewritten in the fast way though a column is a list, and 0.0 in it becomes -0.0."""
    one.run()
    monkeypatch.setattr("include.medallion.gold.apply._merge_rows", lambda _: pytest.fail("MERGE was used"))
    one.sql("UPDATE one SET xs = '{-0,1}' WHERE id = 1")
    one.run()
    assert [repr(row["xs"]) for row in one.gold()] == ["[-0.0, 1.0]", "None"]
    assert repr(json.loads(one.silver()[0]["xs"])) == "[-0.0, 1]"


def test_a_changed_list_is_merged_where_files_cannot_be_rewritten(one, monkeypatch):
    """The slow way through delta-rs's MERGE keeps lists too."""
    one.run()
    monkeypatch.setattr(rewrite, "MAX_BATCH_BYTES", 0)
    one.sql("UPDATE one SET xs = '{NaN,2.5,NULL}' WHERE id = 2")
    one.run()
    assert [repr(row["xs"]) for row in one.gold()] == ["[0.0, 1.0]", "[nan, 2.5, None]"]


EXACT = ['{"a": 1}', "[1, 0.1, -5, 9223372036854775807]", '"text"', "true", '{"a": {"b": [null]}}', "1.50"]
INEXACT = ["12345678901234567890.5", '{"n": 0.1234567890123456789}', "1e400", '{"a": 1, "a": 2}', r'"\ud800"']


def test_a_document_that_a_variant_cannot_hold_stays_text(one):
    """A number that a double rounds, a repeated name or half a character makes the VARIANT the document's text."""
    one.sql(*(f"INSERT INTO one (id, doc) VALUES ({n}, '{text}')" for n, text in enumerate([*EXACT, *INEXACT], 10)))
    one.run()
    silver = {row["id"]: json.loads(row["doc"]) for row in one.silver() if row["id"] > 9}
    assert silver == dict(enumerate([*map(json.loads, EXACT), *INEXACT], 10))
    assert {row["id"]: row["doc"] for row in one.gold() if row["id"] > 9} == dict(enumerate([*EXACT, *INEXACT], 10))


def test_arrays_that_are_no_lists_are_set_aside(one):
    """Several dimensions and other bounds are quarantined with the text of the array; the other rows arrive."""
    one.sql("INSERT INTO one (id, xs) VALUES (3, '{{1},{2}}'), (4, '[0:1]={1,2}')")
    one.run()
    found = [(row["reason"], json.loads(row["row"])["xs"]) for row in one.quarantine()]
    assert found == [("NOT_A_LIST", "{{1},{2}}"), ("NOT_A_LIST", "[0:1]={1,2}")]
    assert [row["id"] for row in one.gold()] == [1, 2]


def test_a_time_that_snowflake_has_not_is_set_aside(one):
    """24:00 is quarantined as out of range; the last microsecond of a day arrives."""
    one.sql("INSERT INTO one (id, t) VALUES (3, '24:00'), (4, '23:59:59.999999')")
    one.run()
    assert [row["reason"] for row in one.quarantine()] == ["OUT_OF_RANGE"]
    assert [row["t"] for row in one.silver()] == [time(12), None, time(23, 59, 59, 999999)]


def test_columns_of_the_key_stay_text(bronze_dsn, lake_uri, lake, silver):
    """An array, a document and a time in the key find their row again."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": ["xs", "doc", "t"]})
    one.sql(
        "CREATE TABLE one (xs int[], doc jsonb, t time, postcode text, PRIMARY KEY (xs, doc, t))",
        "INSERT INTO one VALUES ('{1,2}', '{\"a\": 1}', '12:00'), ('{{1},{2}}', '1', '24:00')",
    )
    one.run()
    one.sql("UPDATE one SET postcode = '98052' WHERE t = '12:00'")
    assert one.run().sinks["silver"].updated == 1
    for rows in (one.gold(), one.silver()):
        assert [(row["xs"], row["t"], row["postcode"]) for row in rows] == [
            ("{1,2}", "12:00:00", "98052"),
            ("{{1},{2}}", "24:00:00", None),
        ]
