"""Which columns of a row group a batch changes: the others are copied as they are encoded."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write.match import BatchRows, conform
from include.medallion.model.columns import BATCH_ID, DELETED_AT, LOADED_AT, VERSION

_MARKS = {VERSION, BATCH_ID, LOADED_AT, DELETED_AT}
"""Columns that change in a row that the source no longer has."""
_FLOAT_BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def compared_columns(rows: BatchRows, over: pa.Array) -> set[str]:
    """Return the columns that may change in a row group: those of a mark, if no row of it has new values."""
    has_values = pc.any(pc.less(over, rows.first_gone)).as_py()
    return {*rows.columns} if has_values else {*rows.columns} & _MARKS


def changed_columns(rows: BatchRows, old: pa.RecordBatch, over: pa.Array) -> dict[str, pa.Array]:
    """
    Return the columns that rows of the batch change, with their new values.

    Args:
        old: the rows of the row group, with the columns that the file has.
        over: for each of them the number of the batch's row that replaces it, NULL if none does.
    """
    live = pc.if_else(pc.less(over, rows.first_gone), over, pa.scalar(None, over.type))  # the others are marked only
    fields = [rows.batch.schema.field(name) for name in rows.columns]
    marks, values = (pa.schema([f for f in fields if (f.name in _MARKS) == which]) for which in (True, False))
    return _changed(rows, old, over, marks) | _changed(rows, old, live, values)


def _changed(rows: BatchRows, old: pa.RecordBatch, places: pa.Array, schema: pa.Schema) -> dict[str, pa.Array]:
    """Compare some columns of the rows that are replaced, and return those that differ, for all rows."""
    replaced, there = places.is_valid(), old.select([name for name in old.schema.names if name in schema.names])
    held = conform(there.take(pc.indices_nonzero(replaced)), schema)
    new = rows.table.select(schema.names).take(places.drop_null())
    unlike = pa.schema([f for f in schema if not _identical(new.column(f.name), held.column(f.name))])
    whole = conform(old, unlike)
    taken = rows.table.select(unlike.names)
    return {n: pc.if_else(replaced, taken.column(n).take(places), whole.column(n)) for n in unlike.names}


def _identical(some: pa.Array, others: pa.Array) -> bool:
    """Compare values; floats by their bits, because 0.0 equals -0.0, and NaN does not equal itself."""
    if pa.types.is_list(some.type):
        lengths = pc.list_value_length(some), pc.list_value_length(others)
        return bool(lengths[0].equals(lengths[1])) and _identical(some.flatten(), others.flatten())
    bits = _FLOAT_BITS.get(some.type)
    return bool(some.view(bits).equals(others.view(bits)) if bits else some.equals(others))
