"""Parquet files in the lake: written whole or not at all, verified while they are read."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, filesystem, make_folder, read_bytes, write_bytes
from include.medallion.lake.parquet.checksums import FileInfo
from include.medallion.lake.parquet.reader import Reader
from include.medallion.lake.parquet.row_groups import RowGroup
from include.medallion.lake.parquet.writer import COMPRESSION, Writer


def create_parquet(lake: Lake, key: str, schema: pa.Schema) -> Writer:
    """
    Return a writer of a Parquet file, which replaces what an earlier attempt left there.

    The file can be read once the writer is closed. On S3 it then appears as a whole; a writer that exits with an
    exception leaves nothing.
    """
    files, path = filesystem(lake), lake.path(key)
    make_folder(files, path)
    return Writer(path, schema, files)


def open_parquet(lake: Lake, key: str) -> pq.ParquetFile:
    """Open a Parquet file without verifying it; prefer `open_verified`."""
    return pq.ParquetFile(filesystem(lake).open_input_file(lake.path(key)), pre_buffer=True)


@contextmanager
def open_verified(lake: Lake, key: str, info: FileInfo | None = None) -> Iterator[Reader]:
    """
    Open a Parquet file; its size and its footer are verified at once, columns when they are read.

    Args:
        info: what the manifest records of the file; None for a file that no manifest lists.

    Raises:
        ContractBroken: the file is not the one in the manifest, is missing or is damaged; the message names the key.
        FileNotFoundError: there is no such file, and `info` is None.
    """
    try:
        file = filesystem(lake).open_input_file(lake.path(key))
    except FileNotFoundError:
        if info is None:
            raise
        raise ContractBroken(f"{key} is missing") from None
    with file:
        yield Reader(file, key, info)


def read_row_groups(
    lake: Lake, key: str, info: FileInfo | None = None, columns: Collection[str] | None = None
) -> Iterator[RowGroup]:
    """
    Read a file by its row groups, as they are encoded; memory holds one.

    Args:
        info: what the manifest records of the file.
        columns: columns to read, if the file has them; None reads all.

    Raises:
        ContractBroken, FileNotFoundError: as `open_verified`; or a column does not match its checksum.
    """
    with open_verified(lake, key, info) as file:
        yield from file.read_groups(columns)


def read_rows(
    lake: Lake, key: str, info: FileInfo | None = None, columns: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file in batches of at most 65,536; arguments and errors as `read_row_groups`."""
    with open_verified(lake, key, info) as file:
        yield from file.read_batches(columns)


def read_table(lake: Lake, key: str, info: FileInfo | None = None, columns: Collection[str] | None = None) -> pa.Table:
    """Read all rows of a file into memory; arguments and errors as `read_row_groups`."""
    with open_verified(lake, key, info) as file:
        names = [name for name in file.schema.names if columns is None or name in columns]
        schema = pa.schema([file.schema.field(name) for name in names])
        return pa.Table.from_batches(file.read_batches(columns), schema)


def read_footer(lake: Lake, key: str, info: FileInfo | None = None) -> pq.FileMetaData:
    """Read the footer of a file: its rows, its columns and their bounds; errors as `open_verified`."""
    with open_verified(lake, key, info) as file:
        return file.metadata


def read_schema(lake: Lake, key: str, info: FileInfo | None = None) -> pa.Schema:
    """Read the columns of a file; errors as `open_verified`."""
    with open_verified(lake, key, info) as file:
        return file.schema


def verify(lake: Lake, key: str, info: FileInfo) -> None:
    """
    Read all bytes of a file that a `Writer` wrote, without decoding, and compare them with their checksums.

    Raises:
        ContractBroken: the file is missing or a byte is not what was written; the message names the key.
    """
    with open_verified(lake, key, info) as file:
        file.verify()


def put_table(lake: Lake, prefix: str, table: pa.Table) -> str:
    """Write a small table as a new file below a prefix, whole or not at all; return its key."""
    files, name = filesystem(lake), uuid.uuid4().hex
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=COMPRESSION)
    key = f"{prefix}/{name}.parquet"
    if isinstance(files, fs.LocalFileSystem):  # a local file appears before it is complete; a renamed one does not
        write_bytes(lake, f"{prefix}/{name}.tmp", sink.getvalue().to_pybytes())
        files.move(lake.path(f"{prefix}/{name}.tmp"), lake.path(key))
    else:
        write_bytes(lake, key, sink.getvalue().to_pybytes())
    return key


def get_table(lake: Lake, key: str) -> pa.Table:
    """
    Read a small table whole.

    Raises:
        FileNotFoundError: there is none.
    """
    return pq.read_table(pa.BufferReader(read_bytes(lake, key)))
