"""Which rows a sink can hold."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.model.columns import Column, check_names, columns_from_schema, source_column
from include.medallion.model.types.arrays import is_list, parse_arrays
from include.medallion.model.types.documents import as_variant_json
from include.medallion.model.types.table import BINARY_BYTES, TEXT_BYTES
from include.medallion.model.values.validation import Reason, to_sink_types, to_text, validate

DAY_US = 86_400_000_000
NUMERIC_10_2 = (10 << 16 | 2) + 4


def judged(typname, values, typmod=-1, key=()):
    """Return the reasons against a batch of one column `x`."""
    column = source_column("x", typname, typmod)
    array = pa.array(
        values, pa.int64() if pa.types.is_timestamp(column.type) and values and isinstance(values[0], int) else None
    )
    array = (
        array.cast(pa.int32()).cast(column.read_type)
        if column.type == pa.date32() and pa.types.is_integer(array.type)
        else array.cast(column.read_type)
    )
    return validate(pa.RecordBatch.from_arrays([array], ["x"]), (column,), list(key)).to_pylist()


def test_a_row_without_its_key_is_refused():
    """A NULL in any column of the key is NULL_KEY."""
    assert judged("int4", [1, None], key=["x"]) == [None, Reason.NULL_KEY]


def test_a_null_outside_of_the_key_is_fine():
    """NULL is a value that every type of column may hold."""
    for typname in ("int4", "text", "date", "timestamptz", "float8", "bytea"):
        assert judged(typname, [None]) == [None]
    assert judged("numeric", [None], NUMERIC_10_2) == [None]


@pytest.mark.parametrize("text", ["1", "-1.50", "0.00", ".5", "99999999.99"])
def test_an_exact_number_is_fine(text):
    """All spellings of a number that Postgres writes."""
    assert judged("numeric", [text], NUMERIC_10_2) == [None]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(text):
    """A decimal of a sink has no such values."""
    assert judged("numeric", [text], NUMERIC_10_2) == [Reason.NOT_A_NUMBER]


@pytest.mark.parametrize(
    ("days", "reason"),
    [(-719_162, None), (-719_163, Reason.OUT_OF_RANGE), (2_932_896, None), (2_932_897, Reason.OUT_OF_RANGE)],
)
def test_dates_of_the_years_1_to_9999_are_fine(days, reason):
    """The first and the last day that both sinks hold, and the next ones out."""
    assert judged("date", [days]) == [reason]


@pytest.mark.parametrize("typname", ["timestamp", "timestamptz"])
@pytest.mark.parametrize(
    ("micros", "reason"),
    [
        (-719_162 * DAY_US, None),
        (-719_162 * DAY_US - 1, Reason.OUT_OF_RANGE),
        (2_932_897 * DAY_US - 1, None),
        (2_932_897 * DAY_US, Reason.OUT_OF_RANGE),
    ],
)
def test_moments_of_the_years_1_to_9999_are_fine(typname, micros, reason):
    """The first and the last microsecond that both sinks hold, and the next ones out."""
    assert judged(typname, [micros]) == [reason]


@pytest.mark.parametrize(
    ("typname", "unit", "most"),
    [("text", "x", TEXT_BYTES), ("text", "\u00e9\u00e9", TEXT_BYTES // 2), ("bytea", b"x", BINARY_BYTES)],
)
def test_a_value_at_the_sinks_limit_is_fine_and_one_more_is_not(typname, unit, most):
    """Text is measured in bytes, not in characters."""
    fitting = unit * (most // len(unit))
    assert judged(typname, [fitting, fitting + unit[:1]]) == [None, Reason.TOO_LONG]


def test_the_first_reason_is_recorded():
    """A row with several faults is in quarantine once; a missing key comes first."""
    columns = (source_column("k", "date", -1), source_column("x", "numeric", NUMERIC_10_2))
    batch = pa.RecordBatch.from_arrays([pa.array([None], pa.date32()), pa.array(["NaN"])], ["k", "x"])
    assert validate(batch, columns, ["k"]).to_pylist() == [Reason.NULL_KEY]


def test_good_values_become_the_sinks_types():
    """Numbers that were read as text are exact numbers afterwards."""
    column = source_column("x", "numeric", NUMERIC_10_2)
    (converted,) = to_sink_types(pa.RecordBatch.from_arrays([pa.array(["1.50", None])], ["x"]), (column,))
    assert converted.type == pa.decimal128(10, 2)
    assert [str(v) for v in converted.to_pylist()] == ["1.50", "None"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([date(2021, 1, 2)]), "2021-01-02"),
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "5881580-07-11"),
        (pa.array([datetime(2021, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), "2021-01-02 00:00:00.000000Z"),
        (pa.array([2**63 - 1], pa.int64()).cast(pa.timestamp("us")), "294247-01-10 04:00:54.775807"),
        (pa.array([b"\x00\xff"]), "00ff"),
        (pa.array([1.5]), "1.5"),
    ],
)
def test_quarantine_can_write_any_value(values, text):
    """What no sink can hold is still readable."""
    assert to_text(values).to_pylist() == [text]


def test_a_staged_number_remembers_its_digits():
    """Reading a staged file gives the columns that the catalogue gave, with no catalogue."""
    columns = tuple(
        source_column(f"c{n}", *given)
        for n, given in enumerate(
            [("numeric", NUMERIC_10_2), ("numeric", -1), ("uuid", -1), ("int8", -1), ("timestamptz", -1)]
        )
    )
    staged = columns_from_schema(pa.schema([c.read_field for c in columns]))
    assert [(c.name, c.type, c.snowflake_type) for c in staged] == [(c.name, c.type, c.snowflake_type) for c in columns]


@pytest.mark.parametrize(
    ("typmod", "type_"),
    [
        ((38 << 16 | 38) + 4, pa.decimal128(38, 38)),
        ((39 << 16 | 2) + 4, pa.string()),
        ((3 << 16 | 5) + 4, pa.string()),
        ((5 << 16 | (-2 & 0x7FF)) + 4, pa.string()),
    ],
)
def test_a_number_that_no_sink_has_a_type_for_travels_as_text(typmod, type_):
    """More than 38 digits, a scale below zero or above the precision: text loses nothing."""
    assert source_column("x", "numeric", typmod).type == type_


def test_names_that_are_the_same_in_a_sink_are_all_reported():
    """The refusal names each column, so that one knows which to exclude."""
    columns = [source_column(name, "text", -1) for name in ("City", "city", "street")]
    with pytest.raises(Exception, match=r"\['City', 'city'\]"):
        check_names(columns)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("12345678.90", None), ("1.5000", None), ("-0", None), ("123456789", "DOES_NOT_FIT"), ("0.005", "DOES_NOT_FIT")],
)
def test_a_number_that_would_be_rounded_does_not_fit(text, reason):
    """Zeros at the end are no digits; any other digit that the type does not have is."""
    column = Column("x", pa.decimal128(10, 2), "NUMBER(10,2)", as_text=True)
    batch = pa.RecordBatch.from_arrays([pa.array([text])], ["x"])
    assert validate(batch, (column,), []).to_pylist() == [reason]
    assert reason or to_sink_types(batch, (column,))[0].to_pylist() == [Decimal(text).quantize(Decimal("0.01"))]


@given(st.lists(st.none() | st.lists(st.none() | st.text(), max_size=4), max_size=5))
def test_every_array_of_texts_is_parsed(arrays):
    """Quotes, backslashes, braces, commas and the word NULL in an element change nothing."""
    texts = pa.array([None if some is None else printed(some) for some in arrays], pa.string())
    assert is_list(texts).to_pylist() == [None if some is None else True for some in arrays]
    assert parse_arrays(texts, pa.string()).to_pylist() == arrays


def printed(elements):
    """Return an array as PostgreSQL prints it, each element in quotes."""
    quoted = (re.sub(r'(["\\])', r"\\\1", text) if text is not None else None for text in elements)
    return "{" + ",".join("NULL" if text is None else f'"{text}"' for text in quoted) + "}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=5
    )
)
def test_every_document_of_floats_is_a_variant_as_it_is(document):
    """JSON whose numbers are doubles is not changed, however they are written."""
    texts = pa.array([json.dumps(document)])
    held = as_variant_json(texts, may_repeat_names=True).to_pylist()[0]
    assert json.loads(held) == document
