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

from include.medallion.contract import SET_ASIDE, Reason, convert, judge, may_break, set_aside
from include.medallion.joining import Answers
from include.medallion.parquet import Writer
from include.medallion.parquet_chunks import Chunks, Group
from include.medallion.schema import SYSTEM, VERSION, Column
from include.medallion.stale import renewed
from include.medallion.window import Mode, Window


@dataclass(frozen=True)
class Shape:
    """What rows of a part are given, and what they have to be like."""

    window: Window
    key: Sequence[str]
    columns: tuple[Column, ...]  # of the source, without those that an enrichment replaces
    answers: Sequence[Answers]
    schema: pa.Schema  # of an enriched part


@dataclass(frozen=True)
class Shaped:
    """What became of some rows: columns that stay as they are encoded, the other columns, and the rows set aside."""

    read: int  # rows
    kept: Chunks
    made: pa.RecordBatch
    aside: pa.RecordBatch

    def write(self, enriched: Writer, quarantined: Writer) -> None:
        """Write both kinds of rows."""
        if self.kept:
            enriched.write_group(self.kept, self.made, self.made.num_rows)
        else:
            enriched.write_batch(self.made)
        quarantined.write_batch(self.aside)


def shaped(shape: Shape, start: int, raw: Iterable[Group], out: Writer) -> Iterator[Shaped]:
    """
    Shape neighbouring rows of a part.

    Args:
        start: the place in the part of the first of them.
        out: where the good ones go; tells which columns it can take as they are encoded.
    """
    become = _renewed if shape.window.mode is Mode.LOOKUPS else _judged
    for group in raw:
        yield become(shape, start, group, out.fitting(group.chunks))
        start += group.rows


def _judged(shape: Shape, start: int, group: Group, same: Chunks) -> Shaped:
    """Give rows their answers; set aside those that break the contract, or whose key a provider refuses."""
    kept = {name: same[name] for name in (*(c.name for c in shape.columns), VERSION) if name in same}
    seen = [c for c in shape.columns if c.name in shape.key or c.name not in kept or may_break(c, kept[c.name].size)]
    rows = group.read({*(c.name for c in seen), *({VERSION} - kept.keys())})
    places = [one.rows(start, group.rows) for one in shape.answers]
    reasons = judge(rows, seen, shape.key)
    for one, at in zip(shape.answers, places, strict=True):
        reasons = pc.coalesce(reasons, pc.if_else(one.refused.take(at), str(Reason.KEY_REFUSED), None))
    if reasons.null_count == group.rows:
        return Shaped(group.rows, kept, _made(shape, rows, places, kept), _no_row())
    whole, fine = group.read(group.names), reasons.is_null()
    aside = set_aside(whole.filter(reasons.is_valid()), reasons.drop_null(), shape.key)
    made = _made(shape, whole.filter(fine), [at.filter(fine) for at in places], {})
    return Shaped(group.rows, {}, made, aside)


def _renewed(shape: Shape, start: int, group: Group, _: Chunks) -> Shaped:
    """Give rows of a look-up refresh what is new; those to which nothing is are left out, and none is set aside."""
    whole, changed = renewed(start, group.read(group.names), shape.answers, shape.window.opened_at)
    kept = whole.filter(changed)
    given = {name: kept.column(name) for one in shape.answers for name in one.enrichment.adds}
    return Shaped(group.rows, {}, _rows(shape, kept, given, {}), _no_row())


def _made(shape: Shape, rows: pa.RecordBatch, places: list[pa.Array], kept: Chunks) -> pa.RecordBatch:
    """Return all columns of rows but those that are kept."""
    taken = [one.columns.take(at) for one, at in zip(shape.answers, places, strict=True)]
    return _rows(shape, rows, {n: column for answers in taken for n, column in _named(answers)}, kept)


def _rows(shape: Shape, rows: pa.RecordBatch, given: dict[str, pa.Array], kept: Chunks) -> pa.RecordBatch:
    source = [column for column in shape.columns if column.name not in kept]
    arrays = given | {c.name: values for c, values in zip(source, convert(rows, source), strict=True)}
    if VERSION not in kept:
        arrays[VERSION] = rows.column(VERSION)
    for column, value in zip(SYSTEM[1:], of_batch(shape.window), strict=True):
        arrays[column.name] = pa.repeat(value, rows.num_rows)
    fields = [field for field in shape.schema if field.name in arrays]
    return pa.RecordBatch.from_arrays([arrays[field.name] for field in fields], schema=pa.schema(fields))


def _named(rows: pa.RecordBatch) -> zip:
    return zip(rows.schema.names, rows.columns, strict=True)


def of_batch(window: Window) -> list[pa.Scalar]:
    """Return what the rows of a batch have in common: the system columns after `_version`."""
    values = (window.batch_id, window.opened_at, None)
    return [pa.scalar(value, column.type) for value, column in zip(values, SYSTEM[1:], strict=True)]


def _no_row() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in SET_ASIDE], schema=SET_ASIDE)
