"""
What a part's rows become on their way to the sinks: good rows with their answers, bad rows with a reason.

A row group without a bad row hands on what the source gave as it is encoded. Only what the contract has to look at is
decoded, only what is new is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.enrich.expiry import apply_refresh
from include.medallion.enrich.join import LookupTable
from include.medallion.lake.parquet.column_chunks import ColumnChunks, RowGroup
from include.medallion.lake.parquet.writer import Writer
from include.medallion.model.columns import SYSTEM_COLUMNS, VERSION, Column, batch_columns
from include.medallion.model.validation import (
    QUARANTINE_SCHEMA,
    Reason,
    may_be_invalid,
    to_quarantine,
    to_sink_types,
    validate,
)
from include.medallion.model.window import Mode, Window


@dataclass(frozen=True)
class RowPlan:
    """What rows of a part are given, and what they have to be like."""

    window: Window
    key: Sequence[str]
    columns: tuple[Column, ...]  # of the source, without those that an enrichment replaces
    answers: Sequence[LookupTable]
    schema: pa.Schema  # of an enriched part


@dataclass(frozen=True)
class Transformed:
    """What became of some rows: columns that stay as they are encoded, the other columns, and the rows set aside."""

    read: int  # rows
    kept: ColumnChunks
    made: pa.RecordBatch
    aside: pa.RecordBatch

    def write(self, enriched: Writer, quarantined: Writer) -> None:
        """Write both kinds of rows."""
        if self.kept:
            enriched.write_group(self.kept, self.made, self.made.num_rows)
        else:
            enriched.write_batch(self.made)
        quarantined.write_batch(self.aside)


def transform(shape: RowPlan, start: int, raw: Iterable[RowGroup], out: Writer) -> Iterator[Transformed]:
    """
    Shape neighbouring rows of a part.

    Args:
        start: the place in the part of the first of them.
        out: where the good ones go; tells which columns it can take as they are encoded.
    """
    become = _refresh_lookups if shape.window.mode is Mode.LOOKUPS else _validate_and_join
    for group in raw:
        yield become(shape, start, group, out.copyable_columns(group.chunks))
        start += group.rows


def _validate_and_join(shape: RowPlan, start: int, group: RowGroup, same: ColumnChunks) -> Transformed:
    """Give rows their answers; set aside those that break the contract, or whose key a provider refuses."""
    kept = {name: same[name] for name in (*(c.name for c in shape.columns), VERSION) if name in same}
    seen = [
        c for c in shape.columns if c.name in shape.key or c.name not in kept or may_be_invalid(c, kept[c.name].size)
    ]
    rows = group.read({*(c.name for c in seen), *({VERSION} - kept.keys())})
    places = [one.rows(start, group.rows) for one in shape.answers]
    reasons = validate(rows, seen, shape.key)
    for one, at in zip(shape.answers, places, strict=True):
        reasons = pc.coalesce(reasons, pc.if_else(one.refused.take(at), str(Reason.KEY_REFUSED), None))
    if reasons.null_count == group.rows:
        return Transformed(group.rows, kept, _new_columns(shape, rows, places, kept), _no_quarantined_rows())
    whole, fine = group.read(group.names), reasons.is_null()
    aside = to_quarantine(whole.filter(reasons.is_valid()), reasons.drop_null(), shape.key)
    made = _new_columns(shape, whole.filter(fine), [at.filter(fine) for at in places], {})
    return Transformed(group.rows, {}, made, aside)


def _refresh_lookups(shape: RowPlan, start: int, group: RowGroup, _: ColumnChunks) -> Transformed:
    """Give rows of a look-up refresh what is new; those to which nothing is are left out, and none is set aside."""
    whole, changed = apply_refresh(start, group.read(group.names), shape.answers, shape.window.opened_at)
    kept = whole.filter(changed)
    given = {name: kept.column(name) for one in shape.answers for name in one.enrichment.adds}
    return Transformed(group.rows, {}, _assemble(shape, kept, given, {}), _no_quarantined_rows())


def _new_columns(shape: RowPlan, rows: pa.RecordBatch, places: list[pa.Array], kept: ColumnChunks) -> pa.RecordBatch:
    """Return all columns of rows but those that are kept."""
    taken = [one.columns.take(at) for one, at in zip(shape.answers, places, strict=True)]
    return _assemble(shape, rows, {n: column for answers in taken for n, column in _named(answers)}, kept)


def _assemble(shape: RowPlan, rows: pa.RecordBatch, given: dict[str, pa.Array], kept: ColumnChunks) -> pa.RecordBatch:
    source = [column for column in shape.columns if column.name not in kept]
    arrays = given | {c.name: values for c, values in zip(source, to_sink_types(rows, source), strict=True)}
    if VERSION not in kept:
        arrays[VERSION] = rows.column(VERSION)
    for column, value in zip(SYSTEM_COLUMNS[1:], batch_columns(shape.window), strict=True):
        arrays[column.name] = pa.repeat(value, rows.num_rows)
    fields = [field for field in shape.schema if field.name in arrays]
    return pa.RecordBatch.from_arrays([arrays[field.name] for field in fields], schema=pa.schema(fields))


def _named(rows: pa.RecordBatch) -> zip:
    return zip(rows.schema.names, rows.columns, strict=True)


def _no_quarantined_rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.nulls(0, field.type) for field in QUARANTINE_SCHEMA], schema=QUARANTINE_SCHEMA
    )
