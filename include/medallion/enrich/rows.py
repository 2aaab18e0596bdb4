"""
Transform the rows of a part for the sinks: good rows get their answers, bad rows are quarantined with a reason.

In a row group without a bad row, the columns of the source are copied as they are encoded. Only columns that have to be
validated are decoded, only new ones are encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.enrich.expectations import Expected, first_reasons
from include.medallion.enrich.expiry import apply_refresh
from include.medallion.enrich.join import LookupTable
from include.medallion.lake.parquet import RowGroup, Writer
from include.medallion.model.columns import SYSTEM_COLUMNS, VERSION, Column, batch_columns
from include.medallion.model.values.validation import (
    QUARANTINE_SCHEMA,
    Reason,
    may_be_invalid,
    to_quarantine,
    to_rule_types,
    to_sink_types,
    validate,
)
from include.medallion.model.window import Mode, Window


@dataclass(frozen=True)
class RowPlan:
    """How the rows of a part are validated and joined."""

    window: Window
    now: datetime  # ages of answers are counted to it
    key: Sequence[str]
    columns: tuple[Column, ...]  # of the source, without those that an enrichment replaces
    answers: Sequence[LookupTable]
    schema: pa.Schema  # of an enriched part
    expected: Sequence[Expected] = ()

    @property
    def expected_columns(self) -> set[str]:
        """Columns that expectations read."""
        return {name for one in self.expected for name in one.expectation.columns}


@dataclass(frozen=True)
class Transformed:
    """Result of one row group: the columns to copy as they are encoded, the other columns, and the quarantined rows."""

    group: RowGroup
    copied: frozenset[str]
    encoded: pa.RecordBatch
    quarantined: pa.RecordBatch
    failures: Mapping[str, int] = field(default_factory=dict)  # rows that do not meet each expectation

    @property
    def read(self) -> int:
        """Number of rows of the part that this is the result of."""
        return self.group.rows

    def write(self, enriched: Writer, quarantined: Writer) -> None:
        """Write the good rows and the quarantined ones."""
        if self.copied:
            enriched.write_row_group(self.group, self.copied, self.encoded)
        else:
            enriched.write_batch(self.encoded)
        quarantined.write_batch(self.quarantined)


def transform(plan: RowPlan, start: int, raw: Iterable[RowGroup], out: Writer) -> Iterator[Transformed]:
    """
    Transform neighbouring row groups of a part.

    Args:
        start: the place in the part of the first of their rows.
        out: where the good rows go; decides which columns can be copied as they are encoded.
    """
    apply = _refresh_lookups if plan.window.mode is Mode.LOOKUPS else _validate_and_join
    for group in raw:
        yield apply(plan, start, group, out.copyable_columns(group))
        start += group.rows


def _validate_and_join(plan: RowPlan, start: int, group: RowGroup, copyable: frozenset[str]) -> Transformed:
    """Join rows with their answers; quarantine those that break the contract, or whose key a provider refuses."""
    copied = copyable & {*(c.name for c in plan.columns), VERSION}
    expected = plan.expected_columns & {c.name for c in plan.columns}
    seen = [c for c in plan.columns if c.name in plan.key or c.name not in copied or _may_be_invalid(c, group)]
    rows = group.read({*(c.name for c in seen), *({VERSION} - copied), *expected})
    places = [one.rows(start, group.rows) for one in plan.answers]
    reasons = validate(rows, seen, plan.key)
    for one, at in zip(plan.answers, places, strict=True):
        reasons = pc.coalesce(reasons, pc.if_else(one.refused.take(at), str(Reason.KEY_REFUSED), None))
    reasons, failures = _check_expectations(plan, rows, places, reasons)
    if reasons.null_count == group.rows:
        return Transformed(group, copied, _new_columns(plan, rows, places, copied), _no_quarantined_rows(), failures)
    whole, good = group.read(group.names), reasons.is_null()
    quarantined = to_quarantine(whole.filter(reasons.is_valid()), reasons.drop_null(), plan.key)
    encoded = _new_columns(plan, whole.filter(good), [at.filter(good) for at in places], frozenset())
    return Transformed(group, frozenset(), encoded, quarantined, failures)


def _check_expectations(
    plan: RowPlan, rows: pa.RecordBatch, places: list[pa.Array], reasons: pa.Array
) -> tuple[pa.Array, dict[str, int]]:
    """
    Evaluate the expectations on the rows that are valid otherwise.

    Returns:
        The reasons why rows are quarantined, those of expectations included, and how many rows fail each expectation.
    """
    if not plan.expected:
        return reasons, {}
    valid = reasons.is_null()
    columns = [column for column in plan.columns if column.name in plan.expected_columns]
    kept = rows.filter(valid)
    source = zip((c.name for c in columns), to_rule_types(kept, columns), strict=True)
    taken = (one.columns.take(at.filter(valid)) for one, at in zip(plan.answers, places, strict=True))
    arrays = {name: column for answers in taken for name, column in _named(answers)} | dict(source)
    joined = pa.RecordBatch.from_arrays([*arrays.values()], names=[*arrays])
    fails = {one.expectation.label: one.fails(joined) for one in plan.expected}
    quarantining = [e.label for e in (one.expectation for one in plan.expected) if e.action == "quarantine"]
    found = first_reasons(fails, quarantining, kept.num_rows)
    return pc.replace_with_mask(reasons, valid, found), {label: pc.sum(f).as_py() or 0 for label, f in fails.items()}


def _may_be_invalid(column: Column, group: RowGroup) -> bool:
    return may_be_invalid(column, group.max_value_bytes(column.name))


def _refresh_lookups(plan: RowPlan, start: int, group: RowGroup, _: frozenset[str]) -> Transformed:
    """Apply a look-up refresh: rows that it does not change are left out, and none is quarantined."""
    whole, changed = apply_refresh(start, group.read(group.names), plan.answers, plan.now)
    kept = whole.filter(changed)
    given = {name: kept.column(name) for one in plan.answers for name in one.enrichment.adds}
    return Transformed(group, frozenset(), _assemble(plan, kept, given, frozenset()), _no_quarantined_rows())


def _new_columns(plan: RowPlan, rows: pa.RecordBatch, places: list[pa.Array], copied: frozenset[str]) -> pa.RecordBatch:
    """Return all columns of rows but those that are copied."""
    taken = [one.columns.take(at) for one, at in zip(plan.answers, places, strict=True)]
    return _assemble(plan, rows, {n: column for answers in taken for n, column in _named(answers)}, copied)


def _assemble(
    plan: RowPlan, rows: pa.RecordBatch, given: dict[str, pa.Array], copied: frozenset[str]
) -> pa.RecordBatch:
    source = [column for column in plan.columns if column.name not in copied]
    arrays = given | {c.name: values for c, values in zip(source, to_sink_types(rows, source), strict=True)}
    if VERSION not in copied:
        arrays[VERSION] = rows.column(VERSION)
    for column, value in zip(SYSTEM_COLUMNS[1:], batch_columns(plan.window), strict=True):
        arrays[column.name] = pa.repeat(value, rows.num_rows)
    fields = [field for field in plan.schema if field.name in arrays]
    return pa.RecordBatch.from_arrays([arrays[field.name] for field in fields], schema=pa.schema(fields))


def _named(rows: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    return zip(rows.schema.names, rows.columns, strict=True)


def _no_quarantined_rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.nulls(0, field.type) for field in QUARANTINE_SCHEMA], schema=QUARANTINE_SCHEMA
    )
