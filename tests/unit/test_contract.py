"""Which rows a sink can hold."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from include.medallion.model.columns import check_names, columns_from_schema, source_column
from include.medallion.model.values.validation import BINARY_BYTES, TEXT_BYTES, Reason, to_sink_types, to_text, validate

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
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "2147483647"),
        (pa.array([datetime(2021, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), "2021-01-02 00:00:00.000000Z"),
        (pa.array([2**63 - 1], pa.int64()).cast(pa.timestamp("us")), "9223372036854775807"),
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
