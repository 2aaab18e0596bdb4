"""Fingerprints are equal for equal values, however these are spelt, and differ for different ones."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.model.columns import TIMESTAMP_UTC, Column
from include.medallion.model.compare.fingerprint import fingerprints, row_fingerprints
from include.medallion.model.compare.ranges import KeyRange, bound_from_text, bound_to_text, plan_ranges

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
"""Text that PostgreSQL can hold: it has no NUL (https://www.postgresql.org/docs/current/datatype-character.html)."""
VALUES = {
    pa.bool_(): st.booleans(),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.decimal128(38, 6): st.decimals(-(10**31), 10**31, places=6),
    pa.string(): TEXT,
    pa.binary(): st.binary(max_size=40),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    TIMESTAMP_UTC: st.datetimes(),
}
JSON = st.recursive(  # with numbers that a double holds: a document with another one stays text, compared as it is
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.decimals(-1000, 1000, places=3) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def hashes(values, type_, snowflake="X"):
    """Return fingerprints of plain values."""
    return fingerprints(pa.array(values, type_), Column("c", type_, snowflake)).tolist()


def identity(value):
    """Return what two values must have in common to be equal."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return value


@pytest.mark.parametrize("type_", VALUES, ids=str)
@given(data=st.data())
def test_equal_values_and_only_those_have_equal_fingerprints(type_, data):
    """Whatever stands beside them: NULL, NaN, -0.0, the first and last dates, empty and long texts."""
    values = data.draw(st.lists(st.none() | VALUES[type_], min_size=2, max_size=30))
    found = hashes(values, type_)
    alone = [hashes([value], type_)[0] for value in values]
    assert found == alone
    first = dict(zip(map(identity, values), found, strict=True))
    assert [first[identity(value)] for value in values] == found
    assert len(set(found)) == len({identity(value) for value in values})


@given(value=JSON)
def test_documents_are_equal_whatever_the_order_of_names_and_the_form_of_numbers(value):
    """As PostgreSQL, Snowflake and a list in Delta write them."""

    def plain(part):
        return float(part) if isinstance(part, Decimal) else str(part)

    text = json.dumps(value, default=plain)
    other = json.dumps(json.loads(text), sort_keys=True, separators=(" ,", " : "), ensure_ascii=False)
    assert len(set(hashes([text, other], pa.string(), "VARIANT"))) == 1
    assert hashes([text], pa.string(), "VARIANT") != hashes([f"[{text}]"], pa.string(), "VARIANT")


def test_numbers_in_documents_have_one_form():
    """1, 1.0 and 1e0 are one number; 1 and "1" are not one value."""
    assert len(set(hashes(["1", "1.0", "1e0", "10E-1"], pa.string(), "VARIANT"))) == 1
    assert len(set(hashes(["1", '"1"', "true", "[1]"], pa.string(), "VARIANT"))) == 4


def test_a_list_and_its_json_are_equal():
    """Delta has the list, Snowflake sends its JSON."""
    lists = fingerprints(pa.array([[1, None, 3], [], None]), Column("c", pa.list_(pa.int64()), "ARRAY"))
    texts = fingerprints(pa.array(["[1,null,3]", "[]", None]), Column("c", pa.list_(pa.int64()), "ARRAY"))
    assert lists.tolist() == texts.tolist()


def test_times_of_day_are_equal_with_and_without_zeros():
    """Snowflake writes six digits, PostgreSQL as many as are needed."""
    found = hashes(["10:00:00.500000", "10:00:00.5", "10:00:00.000000", "10:00:00"], pa.string(), "TIME(6)")
    assert found[0] == found[1] != found[2] == found[3]


@given(text=st.binary(min_size=1, max_size=3), count=st.sampled_from([1 << 14, (1 << 14) + 1, 1 << 16]))
def test_long_values_count_to_the_last_byte(text, count):
    """Those that are hashed one by one, too."""
    value = text * count
    assert len(set(hashes([value, value + b"\0", value[:-1], value[:-1] + bytes([value[-1] ^ 1])], pa.binary()))) == 4


def test_the_order_of_columns_counts_for_a_row():
    """Two columns that changed places are a difference."""
    a, b = np.array([1, 2], np.uint64), np.array([3, 4], np.uint64)
    assert row_fingerprints([a, b]).tolist() != row_fingerprints([b, a]).tolist()


@given(
    keys=st.lists(st.tuples(TEXT, st.integers(-5, 5)), min_size=1, max_size=60, unique=True), count=st.integers(1, 8)
)
def test_each_key_is_in_one_range(keys, count):
    """Ranges of a key of several columns cover all keys, also once their bounds were recorded as text."""
    columns = (Column("k", pa.string(), "VARCHAR"), Column("n", pa.int64(), "BIGINT"))
    table = pa.table({"k": [k for k, _ in keys], "n": pa.array([n for _, n in keys], pa.int64())})
    ranges = plan_ranges(columns, table, count, None)
    bounds = [bound_from_text(columns, bound_to_text(columns, r.high)) for r in ranges if r.high is not None]
    chosen = [KeyRange(columns, low, high) for low, high in zip([None, *bounds], [*bounds, None], strict=True)]
    expressions = [each.expression() for each in chosen]
    assert sum(table.filter(e).num_rows if e is not None else table.num_rows for e in expressions) == len(keys)
