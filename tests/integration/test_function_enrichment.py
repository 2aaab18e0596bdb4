"""A user's own function answers distinct keys of a real batch; what it returns is checked, kept and joined."""

from __future__ import annotations

import pytest

from include.medallion.errors import ContractBroken, SettingError
from tests.integration.one_table import OneTable

RETURNS = {"described": "string", "length": "long"}


@pytest.fixture
def pipeline(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a pipeline with a function of `own_functions` over a table with some rows."""

    def make(function, keys, module="tests.integration.own_functions"):
        enrich = {"function": {"call": f"{module}:{function}", "keys": keys, "returns": RETURNS}}
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"}, enrich)
        one.sql(
            "CREATE TABLE one (id int PRIMARY KEY, a int, b date)",
            "INSERT INTO one VALUES (1, 7, '2021-01-01'), (2, 7, NULL), (3, 7, '2021-01-01'), (4, NULL, NULL)",
        )
        return one

    return make


def test_a_function_gets_each_key_once_in_the_types_of_the_source(pipeline):
    """An integer key arrives as an integer, once; its answer is on every row that has it; no key, no answer."""
    one = pipeline("describe", "a")
    summary = one.run()
    assert (summary.lookups.keys, summary.lookups.cached, summary.lookups.calls) == (1, 0, 1)
    for sink in (one.gold(), one.silver()):
        assert [(row["described"], row["length"]) for row in sink] == [("int32: (7,)", 11)] * 3 + [(None, None)]


def test_a_key_of_several_columns_may_be_partly_null(pipeline):
    """A NULL in some of the columns is part of the key; NULL in all of them is no key."""
    one = pipeline("describe", ["a", "b"])
    assert one.run().lookups.keys == 2
    dated, undated = "int32,date32[day]: (7, datetime.date(2021, 1, 1))", "int32,date32[day]: (7, None)"
    for sink in (one.gold(), one.silver()):
        assert [row["described"] for row in sink] == [dated, undated, dated, None]


def test_a_date_that_no_calendar_has_does_not_stop_the_others(pipeline):
    """A row whose key is an infinite date is set aside; the others are answered."""
    one = pipeline("describe", ["b"])
    one.sql("INSERT INTO one VALUES (5, 7, 'infinity')")
    summary = one.run()
    assert (summary.quarantined, summary.sinks["gold"].inserted, summary.lookups.keys) == (1, 4, 1)


@pytest.mark.parametrize("keys", ["a", ["a", "b"]])
def test_kept_answers_are_used_again(pipeline, keys):
    """The second run does not call the function for keys that it answered before, with NULLs in them or not."""
    one = pipeline("describe", keys)
    first = one.run().lookups.keys
    one.sql("UPDATE one SET id = id + 10")
    lookups = one.run().lookups
    assert (lookups.keys, lookups.cached, lookups.calls) == (first, first, 0)
    by_id = {row["id"]: row["described"] for row in one.gold()}
    assert [by_id[n + 10] for n in (1, 2, 3, 4)] == [by_id[n] for n in (1, 2, 3, 4)]


def test_a_new_key_alone_is_asked_for(pipeline):
    """One key more is one call more, with that key only."""
    one = pipeline("describe", "a")
    one.run()
    one.sql("INSERT INTO one VALUES (5, 8), (6, 7)")
    lookups = one.run().lookups
    assert (lookups.keys, lookups.cached, lookups.calls) == (2, 1, 1)


def test_a_function_may_return_plain_lists(pipeline):
    """Anything with a column per name will do; NULLs are answers."""
    one = pipeline("as_dict", "a")
    one.run()
    assert [(row["described"], row["length"]) for row in one.silver()] == [("x", None)] * 3 + [(None, None)]


@pytest.mark.parametrize("wrong", ["lacks_a_column", "of_another_type", "too_large", "nothing"])
def test_an_answer_of_another_shape_is_refused_with_what_was_promised(pipeline, wrong):
    """The refusal names the function, the columns and their types, and repeats no value."""
    with pytest.raises(
        ContractBroken, match=rf"{wrong} must return columns \['described', 'length'\] as .*int64"
    ) as refused:
        pipeline(wrong, "a").run()
    assert "private" not in str(refused.value)


def test_an_answer_that_leaves_keys_out_is_refused_with_the_counts(pipeline):
    """Answers are matched row for row: as many as there are keys."""
    with pytest.raises(ContractBroken, match=r"too_few received 2 keys and returned \[1, 1\] values"):
        pipeline("too_few", ["a", "b"]).run()


def test_a_functions_own_failure_is_its_own(pipeline):
    """What the user's code raises reaches the task, whose retries then decide."""
    with pytest.raises(RuntimeError, match="the service is down"):
        pipeline("fails", "a").run()


@pytest.mark.parametrize(
    ("module", "function"), [("no.such.module", "f"), ("tests.integration.own_functions", "missing")]
)
def test_a_function_that_cannot_be_imported_is_refused_before_anything_is_read(pipeline, module, function):
    """The refusal names the setting and what it must be."""
    with pytest.raises(SettingError, match=rf"enrich\.function\.call: {module}:{function} .*PYTHONPATH"):
        pipeline(function, "a", module).run()
