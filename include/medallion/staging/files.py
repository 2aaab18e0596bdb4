"""Rows of staged files, verified against their manifest while they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa

from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import read_rows, read_table
from include.medallion.staging.parts import StagedFile


def read_staged_rows(
    lake: Lake, files: Iterable[StagedFile], columns: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """
    Stream the rows of staged files, one file after the other.

    Args:
        columns: to read; None for all. Names that a file does not have are left out.

    Raises:
        ContractBroken: a file is missing, or is not the one that the manifest describes.
    """
    for file in files:
        yield from read_rows(lake, file.path, file.info, columns)


def read_staged_table(lake: Lake, file: StagedFile, columns: Collection[str] | None = None) -> pa.Table:
    """Read one staged file into memory; arguments and errors as `read_staged_rows`."""
    return read_table(lake, file.path, file.info, columns)
