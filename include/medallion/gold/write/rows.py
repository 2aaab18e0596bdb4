"""The rows of a batch as Gold gets them: of all parts, in an order that keeps neighbours together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

import pyarrow as pa

from include.medallion.gold.write.files import GoldBatch
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.model.columns import SYSTEM_COLUMNS, batch_columns
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.parts import StagedFile

_BATCH_COLUMNS = {column.name for column in SYSTEM_COLUMNS[1:]}


def interleave_parts(batch: GoldBatch) -> pa.RecordBatchReader:
    """
    Read the parts in turns, a row group of each, chunk by chunk of the source.

    Each file is in the order in which the source was read, so rows that were neighbours there are neighbours here. The
    system columns that all rows of a batch have in common are filled in.
    """
    batches = chain.from_iterable(read_chunk(batch, chunk) for chunk in chunk_numbers(batch.files))
    return pa.RecordBatchReader.from_batches(batch.schema, prefetch(batches))


def chunk_numbers(files: Sequence[StagedFile]) -> list[int]:
    """Return the chunks of the source that the files have rows of."""
    return sorted({file.chunk for file in files})


def read_chunk(batch: GoldBatch, chunk: int) -> Iterator[pa.RecordBatch]:
    """Read a chunk's rows, as `interleave_parts` does."""
    names = [name for name in batch.schema.names if name not in _BATCH_COLUMNS]
    files = [file for file in batch.files if file.chunk == chunk]
    for rows in _interleave(batch.lake, files, names):
        yield _complete(batch, rows)


def _complete(batch: GoldBatch, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows with all columns of the table: those of the batch filled in, those that the rows lack NULL."""
    constants = dict(zip((c.name for c in SYSTEM_COLUMNS[1:]), batch_columns(batch.window), strict=True))
    arrays = []
    for field in batch.schema:
        if field.name in constants:
            arrays.append(pa.repeat(constants[field.name], rows.num_rows))
        elif field.name in rows.schema.names:
            arrays.append(rows.column(field.name))
        else:
            arrays.append(pa.nulls(rows.num_rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _interleave(lake: Lake, files: list[StagedFile], names: list[str]) -> Iterator[pa.RecordBatch]:
    for turn in zip_longest(*(read_staged_rows(lake, [file], names) for file in files)):
        yield from filter(None, turn)
