"""
Evaluate the rules of a pipeline's `expect` section on rows that are otherwise valid, after they are joined.

NULL meets every rule but `not_null`, as it meets a CHECK constraint. Simple rules are Arrow's compute functions; a SQL
condition is evaluated by DuckDB on the same Arrow columns, without copying them, without access to files or network
(https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.sections.expectations import Expectation
from include.medallion.errors import SettingError
from include.medallion.lake.object_store import Lake
from include.medallion.model.keys import combine_chunks
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.parts import StagedFile

Check = Callable[[pa.RecordBatch], pa.Array]
"""Returns which rows do not meet a rule (bool array without nulls)."""
_DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "lock_configuration": True,
}


@dataclass(frozen=True)
class Expected:
    """One expectation, ready to be evaluated."""

    expectation: Expectation
    check: Check

    def fails(self, rows: pa.RecordBatch) -> pa.Array:
        """
        Return which rows do not meet the rule (bool array).

        Args:
            rows: with the rule's columns, in the types of the sinks.

        Raises:
            SettingError: the rule does not fit the types of its columns.
        """
        try:
            return self.check(rows)
        except pa.ArrowException as e:  # its message may quote a value
            raise _misfit(self.expectation, rows, type(e).__name__) from None


def open_expectations(
    expectations: Sequence[Expectation], lake: Lake, files: Iterable[StagedFile]
) -> tuple[Expected, ...]:
    """
    Return expectations ready to be evaluated.

    Args:
        files: raw rows of the whole batch, among which a value may not occur twice if it is to be unique.
    """
    staged = [*files]
    return tuple(Expected(e, _check(e, partial(_repeated_values, lake, staged))) for e in expectations)


def _check(expectation: Expectation, repeated: Callable[[str], pa.Array]) -> Check:
    rule, column = expectation.rule, expectation.column or ""
    if rule.expression is not None:
        return partial(_fails_sql, expectation)
    if rule.in_ is not None:
        return partial(_is_none_of, column, rule.in_)
    if rule.between is not None:
        return partial(_is_outside, column, rule.between)
    if rule.matches is not None:
        return partial(_does_not_match, column, rule.matches)
    return partial(_is_repeated, column, repeated(column)) if rule.unique else partial(_is_null, column)


def _is_null(column: str, rows: pa.RecordBatch) -> pa.Array:
    return rows.column(column).is_null()


def _is_none_of(column: str, values: Sequence[Any], rows: pa.RecordBatch) -> pa.Array:
    found = rows.column(column)
    wanted = pa.array([_exact(value, found.type) for value in values], found.type)
    return pc.and_(pc.invert(pc.is_in(found, wanted)), found.is_valid())


def _is_outside(column: str, bounds: Sequence[Any], rows: pa.RecordBatch) -> pa.Array:
    found = rows.column(column)
    low, high = (pa.scalar(_exact(bound, found.type)) for bound in bounds)
    return _false_if_null(pc.or_(pc.less(found, low), pc.greater(found, high)))


def _does_not_match(column: str, pattern: str, rows: pa.RecordBatch) -> pa.Array:
    return _false_if_null(pc.invert(pc.match_substring_regex(rows.column(column), rf"\A(?:{pattern})\z")))


def _is_repeated(column: str, repeated: pa.Array, rows: pa.RecordBatch) -> pa.Array:
    return pc.is_in(rows.column(column), repeated.cast(rows.column(column).type))


def _repeated_values(lake: Lake, files: Iterable[StagedFile], column: str) -> pa.Array:
    """Return the values that occur more than once among a batch's rows, as they are read; memory holds all values."""
    values = pa.chunked_array(
        [rows.column(column) for rows in read_staged_rows(lake, files, {column})] or [pa.nulls(0)],
    )
    counts = values.value_counts()
    often = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    return often.drop_null()


def _exact(value: Any, type_: pa.DataType) -> Any:
    """Return a value of the pipeline file as it can be compared with a column: a decimal number by its digits."""
    return Decimal(str(value)) if pa.types.is_decimal(type_) and not isinstance(value, bool) else value


def _fails_sql(expectation: Expectation, rows: pa.RecordBatch) -> pa.Array:
    import duckdb  # noqa: PLC0415 (only pipelines with such a rule need it)

    table = pa.Table.from_batches([rows])
    with duckdb.connect(":memory:", config=_DUCKDB) as connection:
        connection.register("rows", table)
        try:
            met = connection.sql(f"SELECT (\n{expectation.rule.expression}\n) AS met FROM rows").to_arrow_table()  # noqa: S608 (config.expressions has checked it)
        except duckdb.Error as e:  # its message may quote a value
            raise _misfit(expectation, rows, type(e).__name__) from None
    if not pa.types.is_boolean(met.schema.field("met").type):
        raise _misfit(expectation, rows, "its result is neither true nor false")
    return _false_if_null(pc.invert(combine_chunks(met["met"])))


def _misfit(expectation: Expectation, rows: pa.RecordBatch, reason: str) -> SettingError:
    types = {name: str(rows.schema.field(name).type) for name in expectation.columns if name in rows.schema.names}
    return SettingError(
        f"expect: rule {expectation.label} cannot be evaluated ({reason}) on columns of the types {types}: compare "
        "them with values of these types"
    )


def _false_if_null(mask: pa.Array) -> pa.Array:
    return pc.fill_null(mask, fill_value=False)


def first_reasons(failures: Mapping[str, pa.Array], quarantining: Iterable[str], rows: int) -> pa.Array:
    """Return the first rule that quarantines each row (string array); null for rows that stay."""
    reasons = pa.nulls(rows, pa.string())
    for label in quarantining:
        reasons = pc.coalesce(reasons, pc.if_else(failures[label], label, None))
    return reasons
