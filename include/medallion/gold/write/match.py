"""
Where the rows of a batch belong: the files of Gold that may hold their keys, and in each the rows to be written over.

Of the table one file's keys are in memory at a time; of the batch, which is small, all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.gold.write.files import GoldBatch, stat_columns
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake.parquet_files import read_rows
from include.medallion.model.columns import BATCH_ID, DELETED_AT, SYSTEM_COLUMNS, VERSION
from include.medallion.model.keys import combine_chunks, composite_key
from include.medallion.staging.files import read_staged_rows

WinRule = Callable[[pa.Array, pa.RecordBatch, int], pa.Array]
"""Tells, of versions of a batch's rows beside the rows held, and the batch, which of them take the places of those."""


@dataclass(frozen=True)
class BatchRows:
    """The rows of a batch in memory, and what they do to those of the same keys."""

    batch: GoldBatch
    table: pa.RecordBatch  # with key, `_version`, and `columns`
    keys: pa.Array  # of each row, as `_spelt`
    wins: WinRule
    columns: Collection[str]  # that a row held takes from the one that wins over it
    first_gone: int  # number of the first row that stands for a key that the source no longer has: the last rows


@dataclass(frozen=True)
class CandidateFile:
    """A file of the table that may hold keys of a batch."""

    name: str  # below the table's folder
    size: int  # bytes


@dataclass(frozen=True)
class RowMatches:
    """For each row of a file: the batch's row of the same key, and the one that takes its place (int32, or null)."""

    found: pa.Array
    over: pa.Array

    @property
    def updated(self) -> int:
        """How many rows are written over."""
        return int(len(self.over) - self.over.null_count)


def read_batch_rows(batch: GoldBatch, wins: WinRule, columns: Collection[str]) -> BatchRows:
    """Read all rows of a batch."""
    arrays = [combine_chunks(column) for column in interleave_parts(batch).read_all().columns]
    rows = pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
    every = pa.concat_batches([rows, *gone_rows(batch)]) if batch.gone else rows
    return BatchRows(batch, every, _key_values(batch.key, every), wins, columns, rows.num_rows)


def gone_rows(batch: GoldBatch) -> Iterator[pa.RecordBatch]:
    """Read the keys that the source no longer has, as rows that are marked as deleted and have no other value."""
    marks = zip(SYSTEM_COLUMNS[1:], (batch.window.batch_id, *[batch.window.opened_at] * 2), strict=True)
    values = {column.name: pa.scalar(value, column.type) for column, value in marks}
    for keys in read_staged_rows(batch.lake, batch.gone):
        marked = {name: pa.repeat(value, keys.num_rows) for name, value in values.items()}
        there = {**marked, **dict(zip(keys.schema.names, keys.columns, strict=True))}
        arrays = [there[f.name] if f.name in there else pa.nulls(keys.num_rows, f.type) for f in batch.schema]
        typed = [array.cast(field.type) for array, field in zip(arrays, batch.schema, strict=True)]
        yield pa.RecordBatch.from_arrays(typed, schema=batch.schema)


def tombstones(batch: GoldBatch, keys: pa.Table, wins: WinRule, columns: Collection[str]) -> BatchRows:
    """
    Return keys whose rows are deleted: rows that say so and nothing else.

    Args:
        keys: with the version that a row held is compared with.
        columns: of the system, that a row held takes from its tombstone.
    """
    names = (*keys.column_names, BATCH_ID, DELETED_AT)
    fields = pa.schema([batch.schema.field(name) for name in names])
    moment = pa.scalar(batch.window.opened_at, fields.field(DELETED_AT).type)
    marks = [pa.repeat(value, keys.num_rows) for value in (pa.scalar(batch.window.batch_id, pa.int64()), moment)]
    arrays = [combine_chunks(keys[name]).cast(fields.field(name).type) for name in keys.column_names]
    rows = pa.RecordBatch.from_arrays([*arrays, *marks], schema=fields)
    return BatchRows(batch, rows, _key_values(batch.key, rows), wins, columns, rows.num_rows)


def is_newer(mine: pa.Array, held: pa.RecordBatch, batch_id: int) -> pa.Array:
    """Let a row win over an older version, or over the same version of an older batch."""
    return pc.or_(pc.greater(mine, held.column(VERSION)), _is_same_version(mine, held, batch_id))


def is_live(mine: pa.Array, held: pa.RecordBatch, batch_id: int) -> pa.Array:
    """Let a row win over just its own version, unless that is marked as deleted."""
    return pc.and_(_is_same_version(mine, held, batch_id), held.column(DELETED_AT).is_null())


def is_replaceable(_: pa.Array, held: pa.RecordBatch, batch_id: int) -> pa.Array:
    """Let a row win over every version that no newer batch wrote: it was read when the batch was opened, or later."""
    return pc.less_equal(pc.fill_null(held.column(BATCH_ID), 0), batch_id)


def is_newer_than_live(mine: pa.Array, held: pa.RecordBatch, batch_id: int) -> pa.Array:
    """Let a row win as `is_newer` does, unless the row held is marked as deleted."""
    return pc.and_(is_newer(mine, held, batch_id), held.column(DELETED_AT).is_null())


def is_older(mine: pa.Array, held: pa.RecordBatch, _: int) -> pa.Array:
    """Let a row win over an older version, and over a row without one, which another writer wrote."""
    return pc.fill_null(pc.greater(mine, held.column(VERSION)), fill_value=True)


def candidate_files(rows: BatchRows) -> list[CandidateFile]:
    """Return the files of the table within whose bounds, by the log, a key of the batch lies."""
    files = pa.table(rows.batch.table.get_add_actions(flatten=True))
    there = np.ones(files.num_rows, bool)
    for name in stat_columns(rows.batch.key, rows.batch.schema):
        if f"min.{name}" in files.schema.names:
            there &= _may_hold(files, name, np.sort(rows.table.column(name).to_numpy(zero_copy_only=False)))
    found = files.filter(pa.array(there))
    return [
        CandidateFile(*each) for each in zip(found["path"].to_pylist(), found["size_bytes"].to_pylist(), strict=True)
    ]


def match_rows(rows: BatchRows, file: CandidateFile) -> RowMatches:
    """Read the keys of a file, and find those of the batch."""
    names = (*rows.batch.key, VERSION, BATCH_ID, DELETED_AT)
    schema = pa.schema([rows.batch.schema.field(name) for name in names])
    pieces = read_rows(rows.batch.lake, rows.batch.path(file.name), None, schema.names)
    each = [_match_piece(rows, conform(piece, schema)) for piece in pieces]
    found, over = (combine_chunks(pa.chunked_array([pair[which] for pair in each], pa.int32())) for which in (0, 1))
    return RowMatches(found, over)


def conform(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a file as the table has them: a file from before a column was added does not hold it."""
    there, rows = piece.schema.names, piece.num_rows
    arrays = [piece.column(f.name).cast(f.type) if f.name in there else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_same_version(mine: pa.Array, held: pa.RecordBatch, batch_id: int) -> pa.Array:
    return pc.and_(pc.equal(mine, held.column(VERSION)), pc.less_equal(held.column(BATCH_ID), batch_id))


def _key_values(key: Sequence[str], rows: pa.RecordBatch) -> pa.Array:
    """Return each row's key as one value; equal where all its columns are."""
    columns = [rows.column(name) for name in key]
    single = len(columns) == 1 and not pa.types.is_floating(columns[0].type)
    return columns[0] if single else composite_key(columns)


def _may_hold(files: pa.Table, name: str, wanted: np.ndarray) -> np.ndarray:
    """Return for each file whether it may hold one of the wanted values (ascending): yes if the log has no bounds."""
    least, most = (files[f"{end}.{name}"].cast(pa.int64()) for end in ("min", "max"))
    begin = np.searchsorted(wanted, least.fill_null(0).to_numpy(), "left")
    end = np.searchsorted(wanted, most.fill_null(0).to_numpy(), "right")
    may: np.ndarray = (begin < end) | least.is_null().to_numpy() | most.is_null().to_numpy()
    return may


def _match_piece(rows: BatchRows, piece: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    found = pc.index_in(_key_values(rows.batch.key, piece), value_set=rows.keys, skip_nulls=True)
    wins = rows.wins(rows.table.column(VERSION).take(found), piece, rows.batch.window.batch_id)
    if rows.batch.gone and rows.batch.pipeline.deletes == "soft":  # what is marked keeps the time of its mark
        wins = pc.and_(wins, pc.or_(pc.less(found, rows.first_gone), piece.column(DELETED_AT).is_null()))
    return found, pc.if_else(wins, found, pa.scalar(None, found.type))
