"""
Bring a batch of an older schema into the schema that a sink has now.

A batch is replayed as it was staged. If the sink has gone on to a newer schema since, the batch's columns are followed
by their number in the catalogue: renamed ones get their new name, dropped ones are left out, values get the new type
if they fit exactly. Columns that the batch does not have are NULL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet_files import create_parquet, read_schema
from include.medallion.model.columns import SYSTEM_COLUMNS, Column, typed_column
from include.medallion.model.schema.compare import has_other_keys
from include.medallion.model.schema.source import SourceSchema
from include.medallion.model.types.arrays import parse_arrays
from include.medallion.model.types.arrow import arrow_type
from include.medallion.model.window import Mode, Position
from include.medallion.staging.batch import Batch
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.layout import part_file, schema_file
from include.medallion.staging.parts import EnrichedPart, StagedFile
from include.medallion.staging.records.documents import read_document

_STAGE = "conformed"


def conform(batch: Batch, position: Position | None) -> Batch:
    """
    Return a batch as a sink at this position takes it.

    A batch newer than the position, or with its schema, is returned as it is. Another is staged again in the sink's
    schema.

    Raises:
        ContractBroken: the key is another one since, or a value does not fit its column's new type.
    """
    window = batch.window
    if position is None or window.batch_id >= position.batch_id or 0 in {position.schema, window.schema}:
        return batch
    if position.schema == window.schema:
        return batch
    old, new = (_read(batch, number) for number in (window.schema, position.schema))
    if has_other_keys(old, new):
        raise ContractBroken(
            f"batch {window.batch_id} of {window.pipeline} has key {list(old.key)}, but the sink's is {list(new.key)} "
            "since, or has other values: it cannot be applied again. Trigger a new run"
        )
    if _row_rules(old) != _row_rules(new):
        raise ContractBroken(
            f"batch {window.batch_id} of {window.pipeline} was staged before columns were masked, or rows filtered, as "
            "they are now: it cannot be applied again. Trigger a new run"
        )
    if window.mode is Mode.LOOKUPS:  # has no columns of the source but the key and what enrichments read
        return batch
    return replace(batch, parts=tuple(_restage(batch, part, old, new) for part in batch.parts))


def _read(batch: Batch, number: int) -> SourceSchema:
    try:
        return read_document(batch.lake, schema_file(batch.window.pipeline, number), SourceSchema)
    except FileNotFoundError:
        raise ContractBroken(
            f"the schema of batch {batch.window.batch_id} of {batch.window.pipeline} is not recorded any more: it "
            "cannot be applied again. Trigger a new run"
        ) from None


def _row_rules(schema: SourceSchema) -> tuple[object, ...]:
    """Return the masks by column, and the settings that decide which rows there are."""
    return schema.settings, sorted((c.attnum, c.mask) for c in schema.columns if c.mask)


def _restage(batch: Batch, part: EnrichedPart, old: SourceSchema, new: SourceSchema) -> EnrichedPart:
    files = []
    for file in part.files:
        path = part_file(batch.window, f"{_STAGE}-{part.number}", part.number, file.chunk)
        nothing = pa.RecordBatch.from_pylist([], schema=read_schema(batch.lake, file.path, file.info))
        with create_parquet(batch.lake, path, _convert(nothing, batch, old, new).schema) as out:
            for piece in read_staged_rows(batch.lake, [file]):
                out.write_batch(_convert(piece, batch, old, new))
        files.append(StagedFile(path, file.chunk, out.file))
    return replace(part, files=tuple(files))


def _convert(rows: pa.RecordBatch, batch: Batch, old: SourceSchema, new: SourceSchema) -> pa.RecordBatch:
    named = dict(_renamed(rows, old, new))
    columns = [_column(name, new, values) for name, values in named.items()]
    try:
        arrays = [_cast(values, column.type) for values, column in zip(named.values(), columns, strict=True)]
    except pa.ArrowInvalid:
        raise ContractBroken(
            f"values of batch {batch.window.batch_id} of {batch.window.pipeline} do not fit the types that the columns "
            "have since: it cannot be applied again. Trigger a new run"
        ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([column.field for column in columns]))


def _column(name: str, schema: SourceSchema, values: pa.Array) -> Column:
    """Return the sink's column of this name: of the source, or as an enrichment staged it."""
    column = schema.by_name.get(name)
    if column is None:
        return typed_column(name, values.type)
    return Column(name, arrow_type(column.arrow), column.snowflake, may_repeat_names=column.type == "json")


def _cast(values: pa.Array, type_: pa.DataType) -> pa.Array:
    """Convert values exactly; Arrow refuses integers for a decimal type that does not hold all integers."""
    if pa.types.is_decimal(type_) and pa.types.is_integer(values.type):
        values = values.cast(pa.decimal128(38, type_.scale))
    if pa.types.is_list(type_) and pa.types.is_string(values.type):  # from before arrays were lists
        return parse_arrays(values, type_.value_type)
    return values.cast(type_)


def _renamed(rows: pa.RecordBatch, old: SourceSchema, new: SourceSchema) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns that the sink still has, by their name there."""
    added = {name for name, _ in new.added} | {column.name for column in SYSTEM_COLUMNS}
    for name in rows.schema.names:
        column = old.by_name.get(name)
        if column is None:
            if name in added:
                yield name, rows.column(name)
        elif column.attnum in new.by_attnum:
            yield new.by_attnum[column.attnum].name, rows.column(name)
