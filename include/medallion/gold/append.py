"""
A batch as files of Gold, beside what is there or in its place.

Where staged files are cut as the source is, they are copied within the object storage and named in the log, not read
and written again: an enriched part has Gold's schema. What is copied or written and then not committed (a lost race, a
kill) is in no version of the table; vacuum removes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from math import ceil

import pyarrow as pa
from deltalake.transaction import AddAction

from include.medallion.gold.files import GoldBatch, add_action, can_add_files, new_file_name, read_info, write_rows
from include.medallion.gold.rows import chunk_numbers, read_chunk
from include.medallion.lake.delta import TARGET_FILE_BYTES
from include.medallion.lake.object_store import filesystem
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.staging.layout import ENRICHED, part_file
from include.medallion.staging.parts import Part

PARALLEL_COPIES, PARALLEL_FILES = 4, 2  # at a time


def copy_staged_files(batch: GoldBatch) -> bool:
    """
    Append a batch by making its files those of the table, in one conditional commit; False if they cannot be.

    They cannot if rows of one chunk of the source are in several parts (each then holds keys from all over it: written
    in turns they are cut by range), if they are much larger or smaller than the table's files, or if the table has
    other columns or asks more of a writer.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    there = {key: read_info(batch.lake, key) for key in batch.staged}
    ranges = len(chunk_numbers(batch.parts)) == len(there)
    alike = all(file.schema.equals(batch.schema, check_metadata=False) for file in there.values())
    if not (ranges and alike and _has_fitting_sizes([file.size for file in there.values()]) and can_add_files(batch)):
        return False
    with ThreadPoolExecutor(PARALLEL_COPIES, thread_name_prefix="copy") as pool:
        names = pool.map(lambda key: _copy(batch, key), there)
        batch.write([add_action(batch, name, file) for name, file in zip(names, there.values(), strict=True)])
    return True


def write_per_chunk(batch: GoldBatch) -> bool:
    """
    Append a batch as files of the table, each of neighbours in the source, in one conditional commit; False if not.

    delta-rs deals a stream out to as many files as there are cores: each would hold keys from all over the batch.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    if not can_add_files(batch):
        return False
    with ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="compose") as pool:
        batch.write(list(chain.from_iterable(pool.map(partial(_write_chunk, batch), chunk_numbers(batch.parts)))))
    return True


def _write_chunk(batch: GoldBatch, chunk: int) -> list[AddAction]:
    """Write the rows of a chunk of the source as files of the table's size."""
    files = [
        read_info(batch.lake, part_file(batch.window, ENRICHED, p.number, chunk)) for p in _parts_with(batch, chunk)
    ]
    many = ceil(sum(file.size for file in files) / TARGET_FILE_BYTES)
    rows = ceil(sum(file.footer.num_rows for file in files) / many)
    pieces = prefetch(read_chunk(batch.lake, batch.schema, batch.window, batch.parts, chunk))
    return [write_rows(batch, chain([first], _take_rows(rows - first.num_rows, pieces))) for first in pieces]


def _parts_with(batch: GoldBatch, chunk: int) -> list[Part]:
    return [part for part in batch.parts if chunk in part.chunks]


def _take_rows(rows: int, pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take pieces until they hold so many rows; the others stay."""
    while rows > 0 and (piece := next(pieces, None)) is not None:
        rows -= piece.num_rows
        yield piece


def _has_fitting_sizes(sizes: list[int]) -> bool:
    """Tell whether files of these sizes may stay as they are: none huge, and if there are many, not small."""
    return max(sizes) <= 4 * TARGET_FILE_BYTES and (
        len(sizes) == 1 or sum(sizes) >= len(sizes) * TARGET_FILE_BYTES // 8
    )


def _copy(batch: GoldBatch, key: str) -> str:
    """Copy a file within the storage, into the table's folder; return its new name there."""
    name, lake = new_file_name(), batch.lake
    filesystem(lake).copy_file(lake.path(key), lake.path(batch.path(name)))
    return name
