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

from include.medallion.gold.write.files import (
    GoldBatch,
    RowChanges,
    add_action,
    can_add_files,
    new_file_name,
    read_info,
    write_rows,
)
from include.medallion.gold.write.rows import chunk_numbers, read_chunk
from include.medallion.lake.delta import TARGET_FILE_BYTES
from include.medallion.lake.object_store import filesystem
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lake.parquet_files import verify
from include.medallion.model.columns import BATCH_ID, LOADED_AT, VERSION
from include.medallion.staging.parts import StagedFile

PARALLEL_COPIES, PARALLEL_FILES = 4, 2  # at a time


def copy_staged_files(batch: GoldBatch) -> RowChanges | None:
    """
    Append a batch by making its staged files those of the table, in one conditional commit.

    They cannot become files of the table if rows of one chunk of the source are in several parts (each file then holds
    keys from the whole chunk: interleaved, they are cut by range), if they are much larger or smaller than the table's
    files, or if the table has other columns or requires more of a writer.

    Returns:
        No row changed; None, with nothing done, if the files cannot be used.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
        ContractBroken: a staged file is damaged.
    """
    footers = [read_info(batch.lake, file.path) for file in batch.files]
    ranges = len(chunk_numbers(batch.files)) == len(footers)
    alike = all(_has_columns_of(footer.schema, batch.schema) for footer in footers)
    if not (ranges and alike and _has_fitting_sizes([f.size for f in footers]) and can_add_files(batch)):
        return None
    with ThreadPoolExecutor(PARALLEL_COPIES, thread_name_prefix="copy") as pool:
        names = pool.map(partial(_copy, batch), batch.files)
        list(pool.map(partial(_verify, batch), batch.files))  # meanwhile; raises before the commit
        batch.write([add_action(batch, name, footer) for name, footer in zip(names, footers, strict=True)])
    return RowChanges()


def write_per_chunk(batch: GoldBatch) -> RowChanges | None:
    """
    Append a batch as files of the table, each of neighbours in the source, in one conditional commit.

    delta-rs distributes a stream over as many files as there are cores: each would hold keys of the whole batch.

    Returns:
        No row changed; None, with nothing done, if the table requires more of a writer.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    if not can_add_files(batch):
        return None
    with ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="write") as pool:
        batch.write(list(chain.from_iterable(pool.map(partial(_write_chunk, batch), chunk_numbers(batch.files)))))
    return RowChanges()


def _write_chunk(batch: GoldBatch, chunk: int) -> list[AddAction]:
    """Write the rows of a chunk of the source as files of the table's size."""
    infos = [file.info for file in batch.files if file.chunk == chunk]
    count = ceil(sum(info.size for info in infos) / TARGET_FILE_BYTES)
    rows = ceil(sum(info.rows for info in infos) / count)
    pieces = prefetch(read_chunk(batch, chunk))
    return [write_rows(batch, chain([first], _take_rows(rows - first.num_rows, pieces))) for first in pieces]


def _take_rows(rows: int, pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take pieces until they hold so many rows; the others stay."""
    while rows > 0 and (piece := next(pieces, None)) is not None:
        rows -= piece.num_rows
        yield piece


def _has_columns_of(file: pa.Schema, table: pa.Schema) -> bool:
    """Return whether a file can be one of the table's: a column of the source that it lacks is NULL."""
    if not {VERSION, BATCH_ID, LOADED_AT} <= {*file.names}:
        return False
    return all(field.name in table.names and table.field(field.name).type == field.type for field in file)


def _has_fitting_sizes(sizes: list[int]) -> bool:
    """Return whether files of these sizes may stay as they are: none huge, and if there are many, not small."""
    return max(sizes) <= 4 * TARGET_FILE_BYTES and (
        len(sizes) == 1 or sum(sizes) >= len(sizes) * TARGET_FILE_BYTES // 8
    )


def _copy(batch: GoldBatch, file: StagedFile) -> str:
    """Copy a staged file within the storage, into the table's folder; return its new name there."""
    name, lake = new_file_name(), batch.lake
    filesystem(lake).copy_file(lake.path(file.path), lake.path(batch.path(name)))
    return name


def _verify(batch: GoldBatch, file: StagedFile) -> None:
    verify(batch.lake, file.path, file.info)
