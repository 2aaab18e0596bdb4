"""The rows of a batch as Gold gets them: of all parts, in an order that keeps neighbours together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, zip_longest

import pyarrow as pa

from include.medallion.lake.object_store import Lake, open_parquet
from include.medallion.lake.parquet import writer
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.model.columns import SYSTEM_COLUMNS, batch_columns
from include.medallion.model.window import Window
from include.medallion.staging.layout import ENRICHED, part_file
from include.medallion.staging.parts import Part

_BATCH_COLUMNS = {column.name for column in SYSTEM_COLUMNS[1:]}


def interleave_parts(lake: Lake, schema: pa.Schema, window: Window, parts: list[Part]) -> pa.RecordBatchReader:
    """
    Read the parts in turns, a row group of each; chunk by chunk of the source.

    Each file is in the order in which the source was read, so rows that were neighbours there are neighbours here.

    Args:
        schema: Gold's; what the batch has in common is filled in.
    """
    batches = chain.from_iterable(read_chunk(lake, schema, window, parts, chunk) for chunk in chunk_numbers(parts))
    return pa.RecordBatchReader.from_batches(schema, prefetch(batches))


def chunk_numbers(parts: list[Part]) -> list[int]:
    """Return the chunks of the source that the parts have rows of."""
    return sorted({chunk for part in parts for chunk in part.chunks})


def read_chunk(
    lake: Lake, schema: pa.Schema, window: Window, parts: list[Part], chunk: int
) -> Iterator[pa.RecordBatch]:
    """Read a chunk's rows, as `in_turns` does."""
    names = [name for name in schema.names if name not in _BATCH_COLUMNS]
    files = [part_file(window, ENRICHED, part.number, chunk) for part in parts if chunk in part.chunks]
    for batch in _interleaved(lake, files, names):
        constants = [pa.repeat(value, batch.num_rows) for value in batch_columns(window)]
        yield pa.RecordBatch.from_arrays([*batch.columns, *constants], schema=schema)


def _interleaved(lake: Lake, files: list[str], names: list[str]) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        opened = [stack.enter_context(open_parquet(lake, file)) for file in files]
        for turn in zip_longest(*(writer.read_batches(file, names) for file in opened)):
            yield from filter(None, turn)
