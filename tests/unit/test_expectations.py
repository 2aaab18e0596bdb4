"""Rules of the expect section, evaluated on Arrow columns of every type."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.config.sections.expectations import Expectation
from include.medallion.enrich.expectations import open_expectations
from include.medallion.errors import SettingError

TYPES = {
    "text": (pa.string(), ["a", "b", None, ""]),
    "number": (pa.int16(), [1, -2, None, 300]),
    "money": (pa.decimal128(10, 2), [Decimal("1.10"), Decimal(-2), None, Decimal("0.30")]),
    "share": (pa.float64(), [0.1, float("nan"), None, -0.0]),
    "flag": (pa.bool_(), [True, False, None, True]),
    "day": (pa.date32(), [date(2024, 2, 29), date(1, 1, 1), None, date(9999, 12, 31)]),
    "at": (pa.timestamp("us"), [datetime(2024, 2, 29, 12), datetime(1, 1, 1), None, datetime(2025, 1, 1)]),  # noqa: DTZ001
    "moment": (pa.timestamp("us", tz="UTC"), [datetime(2024, 2, 29, 12, tzinfo=UTC), None, None, None]),
}
ROWS = pa.RecordBatch.from_arrays([pa.array(values, type_) for type_, values in TYPES.values()], names=[*TYPES])


def failing(rule, column=None, rows=ROWS):
    """Return the indices of the rows that do not meet a rule."""
    expectation = Expectation.model_validate({"name": "rule", "column": column, "rule": rule})
    (expected,) = open_expectations([expectation], None, [])
    return [row for row, fails in enumerate(expected.fails(rows).to_pylist()) if fails]


@pytest.mark.parametrize(
    ("column", "rule", "expected"),
    [
        ("text", "not_null", [2]),
        ("flag", "not_null", [2]),
        ("text", {"in": ["a", ""]}, [1]),
        ("number", {"in": [1, 300]}, [1]),
        ("money", {"in": [1.1, 0.3]}, [1]),
        ("flag", {"in": [True]}, [1]),
        ("day", {"in": [date(2024, 2, 29)]}, [1, 3]),
        ("number", {"between": [0, 299.5]}, [1, 3]),
        ("money", {"between": [0, 0.305]}, [0, 1]),
        ("share", {"between": [0, 1]}, []),
        ("day", {"between": [date(2024, 1, 1), date(2024, 12, 31)]}, [1, 3]),
        ("at", {"between": [datetime(2024, 1, 1), datetime(2024, 12, 31)]}, [1, 3]),  # noqa: DTZ001
        ("moment", {"between": [datetime(2024, 3, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)]}, [0]),
        ("text", {"matches": "a|b"}, [3]),
        (None, {"expression": "number > 0 OR text = 'b'"}, []),
        (None, {"expression": "number > 0 AND money < 1"}, [0, 1]),
        (None, {"expression": "day >= DATE '2024-01-01'"}, [1]),
        (None, {"expression": "moment < TIMESTAMP '2024-01-01'"}, [0]),
        (None, {"expression": "length(text) = 1"}, [3]),
    ],
)
def test_a_rule_fails_for_the_rows_that_do_not_meet_it(column, rule, expected):
    """NULL meets every rule but not_null; numbers are compared exactly, and bounds are included."""
    assert failing(rule, column) == expected


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))), st.text("abz.", max_size=4))
def test_a_pattern_has_to_match_the_whole_value(values, pattern):
    """A value that only begins with, ends with or contains a match does not meet `matches`."""
    rows = pa.RecordBatch.from_arrays([pa.array(values, pa.string())], names=["c"])
    expected = [n for n, v in enumerate(values) if v is not None and not re.fullmatch(pattern, v, re.ASCII)]
    assert failing({"matches": pattern}, "c", rows) == expected


@pytest.mark.parametrize(
    ("column", "rule", "said"),
    [
        ("number", {"matches": "a"}, r"rule rule cannot be evaluated .* \{'number': 'int16'\}"),
        ("text", {"between": [1, 2]}, r"\{'text': 'string'\}"),
        (None, {"expression": "text::int > 1"}, r"ConversionException\) on columns of the types \{'text': 'string'\}"),
        (None, {"expression": "number"}, "its result is neither true nor false"),
    ],
)
def test_a_rule_that_does_not_fit_its_column_is_reported_without_values(column, rule, said):
    """The message names the rule and the types, and no value of a row."""
    with pytest.raises(SettingError, match=said):
        failing(rule, column)
