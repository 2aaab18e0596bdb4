"""
Keys of a batch's quarantined rows: what a sink holds of them is not current any more.

A row that becomes invalid does not reach the sinks in its new version. Its old version is withdrawn from them: marked
as deleted, or removed, as `deletes` of the pipeline says. Once the row is valid again it comes back.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.columns import VERSION, Column
from include.medallion.model.types import numbers
from include.medallion.model.values.validation import Reason
from include.medallion.model.window import Mode
from include.medallion.staging.batch import Batch
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.layout import part_file
from include.medallion.staging.parts import StagedFile

_STAGE = "withdrawn"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]+Z?)?$"


def read_withdrawn(batch: Batch) -> pa.Table:
    """
    Return key and version of a batch's quarantined rows, but of those whose key no sink can hold.

    Of a full refresh there are none: it replaces the tables.
    """
    columns = key_columns(batch)
    schema = pa.schema([*((column.name, column.type) for column in columns), (VERSION, pa.int64())])
    files = [file for part in batch.parts for file in part.quarantined_files]
    if batch.window.mode is Mode.REFRESH or not files:
        return schema.empty_table()
    rows = pa.concat_tables(read_staged_table(batch.lake, file, ["reason", "key", VERSION]) for file in files)
    rows = rows.filter(pc.not_equal(rows["reason"], str(Reason.NULL_KEY))).combine_chunks()
    texts = [pa.array(values, pa.string()) for values in zip(*map(json.loads, rows["key"].to_pylist()), strict=True)]
    if not texts:
        return schema.empty_table()
    valid = pa.array([True] * rows.num_rows, pa.bool_())
    for array, column in zip(texts, columns, strict=True):
        valid = pc.and_(valid, _is_valid(array, column.type))
    keys = [_parse(array.filter(valid), column.type) for array, column in zip(texts, columns, strict=True)]
    return pa.table([*keys, rows[VERSION].filter(valid)], schema=schema)


def stage_withdrawn(batch: Batch, keys: pa.Table) -> StagedFile:
    """Stage what `read_withdrawn` returns, for a sink that reads files."""
    path = part_file(batch.window, _STAGE, 0)
    with create_parquet(batch.lake, path, keys.schema) as out:
        out.write_table(keys)
    return StagedFile(path, 0, out.file)


def key_columns(batch: Batch) -> list[Column]:
    """Return the columns of the primary key."""
    by_name = {column.name: column for column in batch.columns}
    return [by_name[name] for name in batch.key]


def _is_valid(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(type_):
        not_numbers, not_fitting = numbers.faults(texts, type_)
        return pc.invert(pc.or_(not_numbers, not_fitting))
    return pc.match_substring_regex(texts, _DATE) if pa.types.is_temporal(type_) else texts.is_valid()


def _parse(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_binary(type_):
        return pa.array([bytes.fromhex(text) for text in texts.to_pylist()], type_)
    return numbers.parse(texts, type_) if pa.types.is_decimal(type_) else texts.cast(type_)
