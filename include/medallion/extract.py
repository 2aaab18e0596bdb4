"""
From the source to staging: the rows of a window, cut into parts by enrichment key.

All rows of one key are in one part, so no two tasks ever ask for the same key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain, islice
from math import ceil

import pyarrow as pa

from include.medallion.enrichment import Enrichment
from include.medallion.keys import Known, number, split
from include.medallion.lake import Lake, batch_folder, create, put_json, staged
from include.medallion.parquet import Writer, ahead
from include.medallion.pipeline import Parts, Pipeline
from include.medallion.window import Window

RAW = "raw"
WINDOW = "window.json"


@dataclass(frozen=True, slots=True)
class Part:
    """Reference to one staged part; what XCom carries."""

    number: int
    rows: int
    of: int = 1  # parts that the window was cut into; empty ones are not staged

    def to_json(self) -> dict:
        """As XCom carries it."""
        return asdict(self)


def extract(
    batches: Iterator[pa.RecordBatch],
    rows: float,
    pipeline: Pipeline,
    window: Window,
    enrichments: Sequence[Enrichment],
    lake: Lake,
) -> list[Part]:
    """
    Stage the rows of a window as Parquet; return a reference per part that got rows.

    No row is held longer than its record batch. Writing again over an earlier
    attempt is safe. An empty list means that nothing is new.

    Args:
        rows: how many to expect, if they are many; decides the number of parts.
    """
    head = list(islice(batches, 2))  # tells a small window, whose size is then known, from a large one
    if not head:
        return []
    put_json(lake, f"{batch_folder(window.pipeline, window.batch_id)}/{WINDOW}", window.to_json())
    lead = _lead(enrichments, head[0].schema.names)
    parts = _plan(head, rows, lead, pipeline.parts)
    return _stage(chain(head, batches), parts, window, lead, lake)


def _lead(enrichments: Sequence[Enrichment], there: list[str]) -> Enrichment:
    """
    Choose the enrichment by whose key rows are cut into parts: the first that costs something.

    It must read the source alone. Keys of another one may be in several parts, which claim them (`claims`).
    """
    ready = [e for e in enrichments if {*e.reads} <= {*there}]
    return next((e for e in ready if e.limits), ready[0])


def _plan(head: list[pa.RecordBatch], rows: float, enrichment: Enrichment, parts: Parts) -> int:
    """Decide the number of parts: from what is there if one batch is all, else from the planner's estimate."""
    known = Known()
    for batch in head if enrichment.limits else ():
        number(batch, enrichment.reads, enrichment.normalise, known)
    seen = sum(b.num_rows for b in head)
    expected = seen if len(head) == 1 else max(rows, seen)
    return max(1, min(parts.most, max(ceil(expected / parts.rows), ceil(len(known) / parts.keys))))


def _cut(batch: pa.RecordBatch, parts: int, enrichment: Enrichment, known: Known) -> list[tuple[int, pa.RecordBatch]]:
    if parts == 1:
        return [(0, batch)]
    return split(batch, number(batch, enrichment.reads, enrichment.normalise, known), known, parts)


def _stage(
    batches: Iterator[pa.RecordBatch], parts: int, window: Window, enrichment: Enrichment, lake: Lake
) -> list[Part]:
    known = Known()
    rows = dict.fromkeys(range(parts), 0)
    writers: dict[int, Writer] = {}
    with ExitStack() as stack:
        for batch in ahead(batches):
            for part, piece in _cut(batch, parts, enrichment, known):
                if part not in writers:
                    writer = create(lake, staged(window, RAW, part), piece.schema)
                    writers[part] = stack.enter_context(writer)
                writers[part].write_batch(piece)
                rows[part] += piece.num_rows
    return [Part(p, rows[p], parts) for p in sorted(writers)]
