"""The rows of a batch as Gold gets them: of all parts, in an order that keeps neighbours together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, zip_longest

import pyarrow as pa

from include.medallion import parquet
from include.medallion.enrich import ENRICHED
from include.medallion.extract import Part
from include.medallion.lake import Lake, open_parquet
from include.medallion.parquet import ahead
from include.medallion.schema import SYSTEM
from include.medallion.shaping import of_batch
from include.medallion.staging import staged
from include.medallion.window import Window

_OF_BATCH = {column.name for column in SYSTEM[1:]}


def in_turns(lake: Lake, schema: pa.Schema, window: Window, parts: list[Part]) -> pa.RecordBatchReader:
    """
    Read the parts in turns, a row group of each; chunk by chunk of the source.

    Each file is in the order in which the source was read, so rows that were neighbours there are neighbours here.

    Args:
        schema: Gold's; what the batch has in common is filled in.
    """
    batches = chain.from_iterable(of_chunk(lake, schema, window, parts, chunk) for chunk in chunks(parts))
    return pa.RecordBatchReader.from_batches(schema, ahead(batches))


def chunks(parts: list[Part]) -> list[int]:
    """Return the chunks of the source that the parts have rows of."""
    return sorted({chunk for part in parts for chunk in part.chunks})


def of_chunk(lake: Lake, schema: pa.Schema, window: Window, parts: list[Part], chunk: int) -> Iterator[pa.RecordBatch]:
    """Read a chunk's rows, as `in_turns` does."""
    names = [name for name in schema.names if name not in _OF_BATCH]
    files = [staged(window, ENRICHED, part.number, chunk) for part in parts if chunk in part.chunks]
    for batch in _interleaved(lake, files, names):
        constants = [pa.repeat(value, batch.num_rows) for value in of_batch(window)]
        yield pa.RecordBatch.from_arrays([*batch.columns, *constants], schema=schema)


def _interleaved(lake: Lake, files: list[str], names: list[str]) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        opened = [stack.enter_context(open_parquet(lake, file)) for file in files]
        for turn in zip_longest(*(parquet.batches(file, names) for file in opened)):
            yield from filter(None, turn)
