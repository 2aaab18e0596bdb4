"""
Dates and times that PostgreSQL has and a sink has not: infinity, years before 1 or after 9999, the time 24:00.

Arrow holds a date or time as a number, and the driver adds the days between PostgreSQL's epoch (2000) and Arrow's
(1970) without a check: infinity, the largest number, comes out as one of the smallest. So values out of range are read
as PostgreSQL's number.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

_YEAR_1, _YEAR_10000 = -719_162, 2_932_897  # days from 1970-01-01
_DAY_US = 86_400_000_000
_EPOCH_DAYS = 10_957  # from 1970-01-01 to 2000-01-01
_ERA_DAYS, _ERA_YEARS = 146_097, 400  # after which the calendar repeats
_LAST_TIME = "23:59:59.999999"
_MIDNIGHT = "24:00:00"  # the end of a day


class OutOfRange(StrEnum):
    """What happens to a date or time that a sink cannot hold, as the pipeline file names it."""

    QUARANTINE = "quarantine"  # the row is set aside
    NULL = "null"
    CLAMP = "clamp"  # the first or the last date or time that the sinks hold


def is_out_of_range(values: pa.Array) -> pa.Array:
    """
    Return which values no sink can hold (bool array; null where the value is).

    Args:
        values: dates, timestamps, or times of a day as text.
    """
    if pa.types.is_string(values.type):
        return pc.equal(values, _MIDNIGHT)
    stored, unit = _stored(values), _unit(values.type)
    return pc.or_(pc.less(stored, _YEAR_1 * unit), pc.greater_equal(stored, _YEAR_10000 * unit))


def mask_out_of_range(values: pa.Array) -> pa.Array:
    """Return dates and times, with NULL for those outside the years 1 to 9999; return other columns unchanged."""
    return pc.if_else(is_out_of_range(values), None, values) if pa.types.is_temporal(values.type) else values


def bring_into_range(values: pa.Array, how: OutOfRange) -> pa.Array:
    """Return values with those that no sink can hold replaced; `quarantine` replaces none."""
    if how is OutOfRange.QUARANTINE:
        return values
    outside = pc.fill_null(is_out_of_range(values), fill_value=False)
    if not pc.any(outside).as_py():
        return values
    others = _nearest(values) if how is OutOfRange.CLAMP else pa.nulls(len(values), values.type)
    return pc.if_else(outside, others, values)


def print_out_of_range(values: pa.Array) -> pa.Array:
    """
    Return the text of dates and timestamps that are out of range, as PostgreSQL prints them; NULL for all others.

    >>> print_out_of_range(pa.array([2_932_897, -719_163, 0], pa.int32()).cast(pa.date32())).to_pylist()
    ['10000-01-01', '0001-12-31 BC', None]
    """
    outside = pc.fill_null(is_out_of_range(values), fill_value=False)
    texts = [_print(number, values.type) for number in _source_numbers(values.filter(outside)).to_pylist()]
    return pc.replace_with_mask(pa.nulls(len(values), pa.string()), outside, pa.array(texts, pa.string()))


def _stored(values: pa.Array) -> pa.Array:
    return values.cast(pa.int32() if pa.types.is_date(values.type) else pa.int64())


def _unit(type_: pa.DataType) -> int:
    return 1 if pa.types.is_date(type_) else _DAY_US


def _source_numbers(values: pa.Array) -> pa.Array:
    """Return the numbers that PostgreSQL stores: days or microseconds from 2000-01-01; infinity is the largest."""
    stored = _stored(values)
    return pc.subtract(stored, pa.scalar(_EPOCH_DAYS * _unit(values.type), stored.type))


def _nearest(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return pa.repeat(_LAST_TIME, len(values))
    stored, unit = _stored(values), _unit(values.type)
    first, last = (pa.scalar(number, stored.type) for number in (_YEAR_1 * unit, _YEAR_10000 * unit - 1))
    return pc.if_else(pc.greater(_source_numbers(values), 0), last, first).cast(values.type)


def _print(number: int, type_: pa.DataType) -> str:
    is_date = pa.types.is_date(type_)
    most = 2**31 if is_date else 2**63
    if number in {most - 1, -most}:
        return "infinity" if number > 0 else "-infinity"
    days, micros = divmod(number, _unit(type_))
    day, before_christ = _calendar(days + _EPOCH_DAYS)
    time = "" if is_date else f" {_clock(micros)}{'+00' if type_.tz else ''}"
    return f"{day}{time} BC" if before_christ else f"{day}{time}"


def _calendar(days: int) -> tuple[str, bool]:
    """Return the date of a day after 1970-01-01, and whether it is before the year 1."""
    era, place = divmod(days - _YEAR_1, _ERA_DAYS)
    day = date.fromordinal(place + 1)
    year = day.year + era * _ERA_YEARS
    return f"{year if year > 0 else 1 - year:04d}-{day:%m-%d}", year <= 0


def _clock(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{timedelta(seconds=seconds)!s:0>8}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text
