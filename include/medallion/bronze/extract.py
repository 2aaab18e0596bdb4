"""
From the source to staging: the rows of a window, cut into parts by enrichment key.

All rows of one key are in one part, so that no two tasks pay for the same key; where answers cost nothing, a part is a
run of chunks of the table. A part has a file for each chunk in which it has rows.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from math import ceil

import pyarrow as pa

from include.medallion.bronze import checkpoint
from include.medallion.bronze.checkpoint import Checkpoint
from include.medallion.bronze.rows import BATCH_BYTES
from include.medallion.config.pipeline import Parts, Pipeline
from include.medallion.lake.object_store import Lake, create_parquet, put_json
from include.medallion.lake.parquet.writer import Writer
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.keys import KeyIndex, encode_keys, partition_rows
from include.medallion.model.window import Window
from include.medallion.staging.layout import RAW, WINDOW, batch_folder, part_file
from include.medallion.staging.parts import Part

log = logging.getLogger(__name__)
Chunks = Iterator[tuple[int, pa.RecordBatch | None]]
"""Batches with the number of their chunk; None once a chunk is complete."""


def extract(
    chunks: Chunks,
    rows: float,
    pipeline: Pipeline,
    window: Window,
    enrichments: Sequence[Enrichment],
    lake: Lake,
    reached: Checkpoint,
) -> list[Part]:
    """
    Stage the rows of a window as Parquet; return a reference per part that got rows.

    No row is held longer than its record batch. A try that is killed leaves its
    complete chunks to the next one. An empty list means that nothing is new.

    Args:
        chunks: those that `reached` does not hold, maybe side by side.
        rows: how many to expect, if they are many; decides the number of parts.
        reached: where the try before stopped.
    """
    head = list(_buffer_head(chunks))
    batches = [batch for _, batch in head if batch is not None]
    if not batches and not reached.rows:
        return []
    put_json(lake, f"{batch_folder(window.pipeline, window.batch_id)}/{WINDOW}", window.to_json())
    if not reached.rows:
        checkpoint.discard(lake, window, RAW)
    lead = _partition_enrichment(enrichments, batches[0].schema.names) if batches else None
    parts = reached.parts or _choose_part_count(batches, rows, lead, pipeline.parts)
    reached = _stage(chain(head, chunks), lead, window, lake, replace(reached, parts=parts))
    checkpoint.discard(lake, window, RAW)
    checkpoint.delete_leftovers(lake, window, RAW, reached)
    return _parts_of(reached)


def _buffer_head(chunks: Chunks) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """Take what tells a small window, whose size is then known, from a large one."""
    size = 0
    for chunk, batch in chunks:
        yield chunk, batch
        size += batch.nbytes if batch is not None else 0
        if size > BATCH_BYTES:
            return


def _partition_enrichment(enrichments: Sequence[Enrichment], there: list[str]) -> Enrichment:
    """
    Choose the enrichment by whose key rows are cut into parts: the first that costs something.

    It must read the source alone. Keys of another one may be in several parts, which claim them (`claims`).
    """
    ready = [e for e in enrichments if {*e.reads} <= {*there}]
    return next((e for e in ready if e.limits), ready[0])


def _choose_part_count(head: list[pa.RecordBatch], rows: float, enrichment: Enrichment, parts: Parts) -> int:
    """Decide the number of parts: from what is there if the head is all, else from the planner's estimate."""
    known = KeyIndex()
    for batch in head if enrichment.limits else ():
        encode_keys(batch, enrichment.reads, enrichment.normalise, known)
    seen = sum(b.num_rows for b in head)
    expected = seen if sum(b.nbytes for b in head) <= BATCH_BYTES else max(rows, seen)
    wanted = max(ceil(expected / parts.rows_per_part), ceil(len(known) / parts.keys_per_part))
    return max(1, min(parts.max_parts, wanted))


def _stage(chunks: Chunks, lead: Enrichment | None, window: Window, lake: Lake, reached: Checkpoint) -> Checkpoint:
    known = KeyIndex()
    writers: dict[int, dict[int, Writer]] = defaultdict(dict)
    with ExitStack() as stack:
        for chunk, batch in chunks:
            mine = writers[chunk]
            if batch is None:
                reached = _close_chunk(lake, window, reached, chunk, writers.pop(chunk))
                continue
            for part, piece in _partition(batch, chunk, reached, lead, known):
                if part not in mine:
                    mine[part] = stack.enter_context(
                        create_parquet(lake, part_file(window, RAW, part, chunk), piece.schema)
                    )
                mine[part].write_batch(piece)
    return reached


def _partition(
    batch: pa.RecordBatch, chunk: int, reached: Checkpoint, enrichment: Enrichment, known: KeyIndex
) -> list[tuple[int, pa.RecordBatch]]:
    """Give a batch's rows to parts: by key; where answers cost nothing by chunk, which keeps neighbours together."""
    parts, chunks = reached.parts, reached.layout.chunks
    if parts == 1 or (enrichment.limits is None and chunks >= parts):
        return [(chunk * parts // chunks, batch)]
    return partition_rows(batch, encode_keys(batch, enrichment.reads, enrichment.normalise, known), known, parts)


def _close_chunk(lake: Lake, window: Window, reached: Checkpoint, chunk: int, writers: dict[int, Writer]) -> Checkpoint:
    """Close the files of a chunk, then write down that it is staged."""
    for writer in writers.values():
        writer.close()
    reached = reached.with_chunk(chunk, {part: writer.rows for part, writer in writers.items()})
    if reached.layout.chunks > 1:
        checkpoint.save(lake, window, RAW, reached)
        log.info("%d of %d chunks of the table read: %s rows", *reached.progress)
    return reached


def _parts_of(reached: Checkpoint) -> list[Part]:
    numbers = sorted({part for rows in reached.rows.values() for part in rows})
    return [_part_of(reached, number) for number in numbers]


def _part_of(reached: Checkpoint, number: int) -> Part:
    rows = {chunk: found[number] for chunk, found in sorted(reached.rows.items()) if number in found}
    return Part(number, sum(rows.values()), reached.parts, tuple(rows))
