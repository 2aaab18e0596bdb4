"""Which columns of a row group a batch changes: the others are copied as they are encoded."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write.match import BatchRows, conform
from include.medallion.model.columns import BATCH_ID, DELETED_AT, LOADED_AT, VERSION

_MARKS = {VERSION, BATCH_ID, LOADED_AT, DELETED_AT}
"""Columns that change in a row that the source no longer has."""
_FLOAT_BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def changed_columns(rows: BatchRows, old: pa.RecordBatch, over: pa.Array) -> dict[str, pa.Array]:
    """
    Return the columns that rows of the batch change, with their new values.

    Args:
        old: the rows of the row group, with the columns that the file has.
        over: for each of them the number of the batch's row that replaces it, NULL if none does.
    """
    live = pc.if_else(pc.less(over, rows.first_gone), over, pa.scalar(None, over.type))  # the others are marked only
    taken = {True: over, False: live}
    schema = pa.schema([rows.batch.schema.field(name) for name in rows.columns])
    unlike = [
        field
        for marks, places in taken.items()
        for field in _unlike(rows, old, places, pa.schema([f for f in schema if (f.name in _MARKS) == marks]))
    ]
    held = conform(old, pa.schema(unlike))
    return {
        name: pc.if_else(
            taken[name in _MARKS].is_valid(), rows.table.column(name).take(taken[name in _MARKS]), held.column(name)
        )
        for name in held.schema.names
    }


def _unlike(rows: BatchRows, old: pa.RecordBatch, places: pa.Array, schema: pa.Schema) -> list[pa.Field]:
    """Return the columns in which some row differs from that of the batch which replaces it."""
    there = old.select([name for name in old.schema.names if name in schema.names])
    held = conform(there.take(pc.indices_nonzero(places.is_valid())), schema)
    new = rows.table.select(schema.names).take(places.drop_null())
    return [field for field in schema if not _identical(new.column(field.name), held.column(field.name))]


def _identical(some: pa.Array, others: pa.Array) -> bool:
    """Compare values; floats by their bits, because 0.0 equals -0.0, and NaN does not equal itself."""
    if pa.types.is_list(some.type):
        lengths = pc.list_value_length(some), pc.list_value_length(others)
        return bool(lengths[0].equals(lengths[1])) and _identical(some.flatten(), others.flatten())
    bits = _FLOAT_BITS.get(some.type)
    return bool(some.view(bits).equals(others.view(bits)) if bits else some.equals(others))
