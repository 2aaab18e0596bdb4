"""
A batch over older rows: the files that hold them are written anew, row for row in the same order; others stay.

Of two rows of a key the same one stays as with delta-rs's MERGE. MERGE however deals all rows of the files that it
touches out anew: each new file holds keys from all over the table, and every later batch has to rewrite all of them.
Here a file keeps its range of keys, and its row groups (docs/adr/0020). What is written and then not committed (a lost
race, a kill) is in no version of the table; vacuum removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction

from include.medallion.enrich import ENRICHED
from include.medallion.extract import Part
from include.medallion.gold_files import addition, described, fits, new_name
from include.medallion.gold_keys import bounded
from include.medallion.gold_rows import in_turns
from include.medallion.keys import flat, joined
from include.medallion.lake import Lake, create, filesystem, rows_of
from include.medallion.parquet import ahead
from include.medallion.pipeline import Pipeline
from include.medallion.schema import BATCH_ID, VERSION, columns_of
from include.medallion.window import Window

LOOKS = 4  # files in which keys are sought at the same time
BATCH_BYTES = 32 << 20  # of staged files; their rows take a few times as much


@dataclass(frozen=True)
class Batch:
    """A batch in memory, and the table that it goes to."""

    lake: Lake
    pipeline: Pipeline
    window: Window
    rows: pa.RecordBatch  # of the table's schema
    keys: pa.Array  # of each row, as `_spelt`

    def path(self, name: str) -> str:
        """Return the key in the lake of a file of the table."""
        return f"{self.pipeline.gold.table}/{name}"


@dataclass(frozen=True)
class Held:
    """A file of the table that may hold keys of a batch."""

    name: str  # below the table's folder
    size: int  # bytes


@dataclass(frozen=True)
class Change:
    """What a batch changes in one file."""

    found: pa.Array  # rows of the batch whose key is in the file, newer there or not
    updated: int
    actions: list[AddAction | RemoveAction]


def rewrite(
    lake: Lake,
    table: DeltaTable,
    pipeline: Pipeline,
    schema: pa.Schema,
    window: Window,
    parts: list[Part],
    commit: CommitProperties,
) -> int | None:
    """
    Write rows over older versions, or over the same version of an older batch, and new rows into a file of their own.

    Returns how many rows were written over, or None, with nothing done, if the batch is above BATCH_BYTES, or the table
    has other columns or asks more of a writer. Makes no commit if nothing changes.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    if _staged_bytes(lake, window, parts) > BATCH_BYTES or not fits(table, schema):
        return None
    arrays = [flat(column) for column in in_turns(lake, schema, window, parts).read_all().columns]
    rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
    batch = Batch(lake, pipeline, window, rows, _spelt(pipeline, rows))
    held = _held(table, batch)
    if any(quote(file.name) != file.name for file in held):  # elsewhere, or named by another engine
        return None
    looks = [(_places(batch, file) for file in held[first::LOOKS]) for first in range(LOOKS)]
    changes = [_changed(batch, *places) for places in ahead(*looks)]
    actions = [action for change in changes for action in change.actions] + _inserted(batch, changes)
    if actions:
        table.create_write_transaction(actions, "append", Schema.from_arrow(schema), commit_properties=commit)
    return sum(change.updated for change in changes)


def _staged_bytes(lake: Lake, window: Window, parts: list[Part]) -> int:
    paths = [lake.path(key) for part in parts for key in part.files(window, ENRICHED)]
    return sum(file.size for file in filesystem(lake).get_file_info(paths))


def _spelt(pipeline: Pipeline, rows: pa.RecordBatch | pa.Table) -> pa.Array:
    """Return each row's key as one value; equal where all its columns are."""
    columns = [flat(rows.column(name)) for name in pipeline.source.key]
    single = len(columns) == 1 and not pa.types.is_floating(columns[0].type)
    return columns[0] if single else joined(columns)


def _held(table: DeltaTable, batch: Batch) -> list[Held]:
    """Return the files of the table within whose bounds, by the log, a key of the batch lies."""
    files = pa.table(table.get_add_actions(flatten=True))
    there = np.ones(files.num_rows, bool)
    for name in bounded(batch.pipeline, columns_of(batch.rows.schema)):
        if f"min.{name}" in files.schema.names:
            there &= _within(files, name, np.sort(batch.rows.column(name).to_numpy(zero_copy_only=False)))
    found = files.filter(pa.array(there))
    return [Held(*each) for each in zip(found["path"].to_pylist(), found["size_bytes"].to_pylist(), strict=True)]


def _within(files: pa.Table, name: str, wanted: np.ndarray) -> np.ndarray:
    """Tell of each file whether one of the wanted values (ascending) may be in it; it may if the log has no bounds."""
    least, most = (files[f"{end}.{name}"].cast(pa.int64()) for end in ("min", "max"))
    begin = np.searchsorted(wanted, least.fill_null(0).to_numpy(), "left")
    end = np.searchsorted(wanted, most.fill_null(0).to_numpy(), "right")
    return (begin < end) | least.is_null().to_numpy() | most.is_null().to_numpy()


def _places(batch: Batch, file: Held) -> tuple[Held, pa.Array, pa.Array]:
    """Give for each row of a file the row of the batch of the same key, and the one that takes its place; or null."""
    schema = pa.schema([batch.rows.schema.field(c) for c in (*batch.pipeline.source.key, VERSION, BATCH_ID)])
    pieces = rows_of(batch.lake, [batch.path(file.name)], schema.names)
    found = [_places_in(batch, _fitted(piece, schema)) for piece in pieces]
    at, over = (flat(pa.chunked_array([pair[which] for pair in found], pa.int32())) for which in (0, 1))
    return file, at, over


def _places_in(batch: Batch, held: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    at = pc.index_in(_spelt(batch.pipeline, held), value_set=batch.keys, skip_nulls=True)
    mine, theirs = batch.rows.column(VERSION).take(at), held.column(VERSION)
    again = pc.and_(pc.equal(mine, theirs), pc.less_equal(held.column(BATCH_ID), batch.window.batch_id))
    return at, pc.if_else(pc.or_(pc.greater(mine, theirs), again), at, pa.scalar(None, at.type))


def _changed(batch: Batch, file: Held, at: pa.Array, over: pa.Array) -> Change:
    """Write a file anew if rows of the batch belong into it."""
    found, updated = at.drop_null(), len(over) - over.null_count
    if not updated:
        return Change(found, 0, [])
    added = _written(batch, ahead(_merged(batch, file, over)))
    now = int(datetime.now(UTC).timestamp() * 1000)
    return Change(found, updated, [added, RemoveAction(file.name, True, now, file.size, {})])


def _inserted(batch: Batch, changes: list[Change]) -> list[AddAction]:
    """Write the rows whose key no file holds into a file of their own, if there are any."""
    new = np.ones(batch.rows.num_rows, bool)
    for change in changes:
        new[change.found.to_numpy()] = False
    return [_written(batch, [batch.rows.filter(pa.array(new))])] if new.any() else []


def _written(batch: Batch, pieces: Iterable[pa.RecordBatch]) -> AddAction:
    name = new_name()
    with create(batch.lake, batch.path(name), batch.rows.schema) as out:
        for piece in pieces:
            out.write_batch(piece)
    return addition(batch.pipeline, batch.window, name, described(batch.lake, batch.path(name)))


def _merged(batch: Batch, file: Held, over: pa.Array) -> Iterator[pa.RecordBatch]:
    """Read a file with rows of the batch in place of those that they are written over."""
    start, schema = 0, batch.rows.schema
    for piece in rows_of(batch.lake, [batch.path(file.name)]):
        old, chosen = _fitted(piece, schema), over.slice(start, piece.num_rows)
        start += piece.num_rows
        yield _replaced(old, chosen, batch.rows) if chosen.null_count < len(chosen) else old


def _replaced(old: pa.RecordBatch, chosen: pa.Array, rows: pa.RecordBatch) -> pa.RecordBatch:
    columns = zip(rows.take(chosen).columns, old.columns, strict=True)
    arrays = [pc.if_else(chosen.is_valid(), new, kept) for new, kept in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=old.schema)


def _fitted(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a file as the table has them: a file from before a column was added does not hold it."""
    there, rows = piece.schema.names, piece.num_rows
    arrays = [piece.column(f.name).cast(f.type) if f.name in there else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
