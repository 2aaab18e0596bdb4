"""
The lake: one root on object storage (or in a folder) for Gold, the look-up caches and staging.

    <root>/<table>            Delta tables: Gold, caches, quarantine
    <root>/_staging/          staged batches (`staging`)
    <root>/_lookups/<cache>/  look-up results that are not yet merged into their cache

File names consist of numbers and of names in the pipeline file, never of data.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lake.parquet import COMPRESSION, FileInfo, Reader, RowGroup, Writer


@dataclass(frozen=True)
class Lake:
    """
    A root URI and the settings to reach it.

    Args:
        root: `s3://bucket/prefix` or `file:///folder`.
        options: settings as delta-rs knows them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...);
            they are kept out of `repr`.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> str:
        """Return the URI of a Delta table."""
        return f"{self.root.rstrip('/')}/{name}"

    def path(self, key: str) -> str:
        """Return a key below the root as the filesystem names it."""
        parts = urlsplit(self.root)
        base = parts.netloc + parts.path if parts.scheme == "s3" else parts.path
        return f"{base.rstrip('/')}/{key}"


def open_lake(root: str | None, options: Mapping[str, str]) -> Lake:
    """
    Check the root's form.

    Raises:
        SettingError: AWS_URI is missing or is no s3:// or file:// URI, a setting is empty, or S3's commit safety was
            switched off.
    """
    if not root or urlsplit(root).scheme not in {"s3", "file"}:
        raise SettingError("AWS_URI must be the lake's root, e.g. s3://my-bucket/medallion (or file:///folder)")
    if {k.upper() for k in options} & {"AWS_S3_ALLOW_UNSAFE_RENAME"}:
        raise SettingError("AWS_S3_ALLOW_UNSAFE_RENAME is set: remove it; concurrent commits would be lost")
    if empty := sorted(k for k, v in options.items() if not v):  # they would hide the machine's role, or crash delta-rs
        raise SettingError(f"{', '.join(empty)}: set, but empty: unset it, or give it a value")
    return Lake(root, options)


def filesystem(lake: Lake) -> fs.FileSystem:
    """Return the filesystem of a lake; it is created once and keeps its connections."""
    return _filesystem(urlsplit(lake.root).scheme, tuple(sorted(lake.options.items())))


@lru_cache(maxsize=4)
def _filesystem(scheme: str, settings: tuple[tuple[str, str], ...]) -> fs.FileSystem:
    if scheme == "file":
        return fs.LocalFileSystem()
    options = {k.upper(): v for k, v in settings}
    endpoint = options.get("AWS_ENDPOINT_URL", "")
    return fs.S3FileSystem(
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        session_token=options.get("AWS_SESSION_TOKEN"),
        region=options.get("AWS_REGION"),
        endpoint_override=endpoint or None,
        scheme=urlsplit(endpoint).scheme or "https",
    )


def create_parquet(lake: Lake, key: str, schema: pa.Schema) -> Writer:
    """
    Return a writer of a Parquet file, which replaces what an earlier attempt left there.

    The file can be read once the writer is closed. On S3 it then appears as a whole; a writer that exits with an
    exception leaves nothing.
    """
    files, path = filesystem(lake), lake.path(key)
    _make_folder(files, path)
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
        _write(files, lake.path(f"{prefix}/{name}.tmp"), sink.getvalue())
        files.move(lake.path(f"{prefix}/{name}.tmp"), lake.path(key))
    else:
        _write(files, lake.path(key), sink.getvalue())
    return key


def get_table(lake: Lake, key: str) -> pa.Table:
    """
    Read a small table whole.

    Raises:
        FileNotFoundError: there is none.
    """
    return pq.read_table(_read(lake, key))


def put_json(lake: Lake, key: str, document: dict[str, Any]) -> None:
    """Write a small JSON document."""
    _write(filesystem(lake), lake.path(key), pa.py_buffer(json.dumps(document).encode()))


def read_json(lake: Lake, key: str) -> dict[str, Any]:
    """
    Read a small JSON document.

    Raises:
        FileNotFoundError: there is none.
    """
    document: dict[str, Any] = json.loads(_read(lake, key).to_pybytes())
    return document


def list_files(lake: Lake, prefix: str) -> list[str]:
    """List the Parquet files below a prefix; none if there is no such folder."""
    found = filesystem(lake).get_file_info(fs.FileSelector(lake.path(prefix), allow_not_found=True, recursive=True))
    cut = len(lake.path(""))
    return sorted(f.path[cut:] for f in found if f.type is fs.FileType.File and f.path.endswith(".parquet"))


def delete_files(lake: Lake, some: list[str]) -> None:
    """Delete files; those that are gone already do not matter."""
    for key in some:
        with suppress(FileNotFoundError):
            filesystem(lake).delete_file(lake.path(key))


def _read(lake: Lake, key: str) -> pa.Buffer:
    """Read a small file; one that goes between its opening and its reading, which S3 calls another error, is none."""
    files, path = filesystem(lake), lake.path(key)
    try:
        with files.open_input_file(path) as file:
            return file.read_buffer()
    except OSError:
        if files.get_file_info(path).type is fs.FileType.NotFound:
            raise FileNotFoundError(f"there is no {key}") from None
        raise


def _write(files: fs.FileSystem, path: str, data: pa.Buffer) -> None:
    _make_folder(files, path)
    with files.open_output_stream(path) as stream:
        stream.write(data)


def _make_folder(files: fs.FileSystem, path: str) -> None:
    """Make the folder of a file; object storage has none."""
    if isinstance(files, fs.LocalFileSystem):
        files.create_dir(path.rpartition("/")[0])
