"""
From the source to staging: the rows of a window, cut into parts.

All rows of one enrichment key are in one part, so that no two tasks pay for the same key. Where look-ups cost nothing,
or there are none, a part is a run of neighbouring chunks of the table. A part has a file for each chunk in which it has
rows.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from math import ceil

import pyarrow as pa

from include.medallion.bronze import checkpoint
from include.medallion.bronze.checkpoint import Checkpoint
from include.medallion.bronze.rows import BATCH_BYTES
from include.medallion.config.sections.tables import Parts
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet import Writer
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.keys import KeyIndex, PartitionKey, encode_keys, partition_rows
from include.medallion.model.window import Window
from include.medallion.staging.layout import GONE, RAW, part_file
from include.medallion.staging.parts import Part, StagedFile
from include.medallion.staging.records.manifests import begin_extract, finish_extract

log = logging.getLogger(__name__)
ChunkRows = Iterator[tuple[int, pa.RecordBatch | None]]
"""Record batches with the number of their chunk; None once a chunk is complete."""


@dataclass
class Gone:
    """
    Rows that the source no longer has, known once all rows of the window are read.

    Args:
        columns: of a part without rows, for a window that has nothing but gone keys.
        schema: of the keys.
        keys: the keys, with a version.
        truncated: all rows of before are gone: keys of the table are compared once the batch is applied.
    """

    columns: pa.Schema
    schema: pa.Schema
    keys: list[pa.RecordBatch] = field(default_factory=list)
    truncated: bool = False

    @property
    def columns_if_any(self) -> pa.Schema | None:
        """Columns of a part without rows; None if nothing is gone."""
        return self.columns if self.keys or self.truncated else None


def stage_rows(
    chunks: ChunkRows,
    expected_rows: float,
    sizes: Parts,
    window: Window,
    key: PartitionKey | None,
    lake: Lake,
    reached: Checkpoint,
    empty: pa.Schema | None = None,
    gone: Gone | None = None,
) -> tuple[Part, ...]:
    """
    Stage the rows of a window as Parquet, and write the manifest once all of them are staged.

    Memory holds one record batch per reader. A try that is killed leaves its complete chunks to the next one. Returns
    the parts that got rows; none if nothing is new.

    Args:
        chunks: those that `reached` does not hold, in any order.
        expected_rows: the planner's estimate; used for the number of parts of a large window.
        key: what rows are partitioned by; None partitions by chunk.
        reached: where an earlier try stopped.
        empty: columns of a part without rows, which is staged if there are none; None stages nothing then.
        gone: the keys that the source no longer has; None if the window knows none.
    """
    head = list(_buffer_head(chunks))
    batches = [batch for _, batch in head if batch is not None]
    if not batches and not reached.files:
        columns = empty or (gone and gone.columns_if_any)
        return _stage_empty_part(lake, window, columns, gone) if columns else ()
    begin_extract(lake, window)
    if not reached.files:
        checkpoint.discard(lake, window)
    count = reached.part_count or _choose_part_count(batches, expected_rows, key, sizes)
    reached = _Stager(lake, window, key).stage(chain(head, chunks), replace(reached, part_count=count))
    finish_extract(lake, window, reached.parts, _stage_gone(lake, window, gone))
    if reached.layout.chunks > 1:
        checkpoint.discard(lake, window)
    checkpoint.delete_leftovers(lake, window, reached)
    return reached.parts


def _stage_empty_part(lake: Lake, window: Window, schema: pa.Schema, gone: Gone | None) -> tuple[Part, ...]:
    """Stage a part that says which columns the table has, and that it has no rows."""
    begin_extract(lake, window)
    checkpoint.discard(lake, window)
    path = part_file(window, RAW, 0)
    with create_parquet(lake, path, schema) as out:
        pass
    parts = (Part(0, 1, (StagedFile(path, 0, out.file),)),)
    finish_extract(lake, window, parts, _stage_gone(lake, window, gone))
    return parts


def _stage_gone(lake: Lake, window: Window, gone: Gone | None) -> list[StagedFile]:
    """Stage the keys that the source no longer has; known once all rows are read."""
    if gone is None or not gone.keys:
        return []
    path = part_file(window, GONE, 0)
    with create_parquet(lake, path, gone.schema) as out:
        for keys in gone.keys:
            out.write_batch(keys)
    return [StagedFile(path, 0, out.file)]


def _buffer_head(chunks: ChunkRows) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """Take enough to tell a small window, whose size is then known, from a large one."""
    size = 0
    for chunk, batch in chunks:
        yield chunk, batch
        size += batch.nbytes if batch is not None else 0
        if size > BATCH_BYTES:
            return


def _choose_part_count(head: list[pa.RecordBatch], expected: float, key: PartitionKey | None, sizes: Parts) -> int:
    """Choose the number of parts: from the rows if the head is all of them, else from the planner's estimate."""
    seen: int = sum(b.num_rows for b in head)
    rows = seen if sum(b.nbytes for b in head) <= BATCH_BYTES else max(expected, seen)
    keys = _count_keys(head, key) if key and key.metered else 0
    wanted: int = max(ceil(rows / sizes.rows_per_part), ceil(keys / sizes.keys_per_part))
    return max(1, min(sizes.max_parts, wanted))


def _count_keys(head: list[pa.RecordBatch], key: PartitionKey) -> int:
    known = KeyIndex()
    for batch in head:
        encode_keys(batch, key.columns, key.normalise, known)
    return len(known)


class _Stager:
    """Writes batches to the files of their part and chunk."""

    def __init__(self, lake: Lake, window: Window, key: PartitionKey | None) -> None:
        self.lake, self.window, self.key = lake, window, key
        self.known = KeyIndex()
        self.writers: dict[int, dict[int, Writer]] = defaultdict(dict)

    def stage(self, chunks: ChunkRows, reached: Checkpoint) -> Checkpoint:
        with ExitStack() as stack:
            for chunk, batch in chunks:
                if batch is None:
                    reached = self._close_chunk(reached, chunk)
                    continue
                for part, rows in self._partition(batch, chunk, reached):
                    self._writer(stack, chunk, part, rows.schema).write_batch(rows)
        return reached

    def _writer(self, stack: ExitStack, chunk: int, part: int, schema: pa.Schema) -> Writer:
        writers = self.writers[chunk]
        if part not in writers:
            path = part_file(self.window, RAW, part, chunk)
            writers[part] = stack.enter_context(create_parquet(self.lake, path, schema))
        return writers[part]

    def _partition(self, batch: pa.RecordBatch, chunk: int, reached: Checkpoint) -> list[tuple[int, pa.RecordBatch]]:
        """Assign a batch's rows to parts: by key, or by chunk, which keeps neighbours together."""
        parts, chunks, key = reached.part_count, reached.layout.chunks, self.key
        if parts == 1 or key is None or (not key.metered and chunks >= parts):
            return [(chunk * parts // chunks, batch)]
        numbers = encode_keys(batch, key.columns, key.normalise, self.known)
        return partition_rows(batch, numbers, self.known, parts)

    def _close_chunk(self, reached: Checkpoint, chunk: int) -> Checkpoint:
        """Close the files of a chunk, then record that it is staged."""
        files = {part: self._close(chunk, part, out) for part, out in self.writers.pop(chunk, {}).items()}
        reached = reached.with_chunk(chunk, files)
        if reached.layout.chunks > 1:
            checkpoint.save(self.lake, self.window, reached)
            log.info("%d of %d chunks of the table read: %s rows", *reached.progress)
        return reached

    def _close(self, chunk: int, part: int, out: Writer) -> StagedFile:
        out.close()
        return StagedFile(part_file(self.window, RAW, part, chunk), chunk, out.file)
