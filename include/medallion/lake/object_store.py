"""
The lake: one root on object storage (or in a folder) for Gold, the look-up caches and staging.

    <root>/<table>            Delta tables: Gold, caches, quarantine
    <root>/_staging/          staged batches (`staging`)
    <root>/_lookups/<cache>/  look-up results that are not yet merged into their cache

File names consist of numbers and of names in the pipeline file, never of data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from include.medallion.errors import SettingError
from include.medallion.lake.root_uri import check_root


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
        SettingError: AWS_URI is missing or is no safe s3:// or file:// URI, a setting is empty, or S3's commit safety
            was switched off.
    """
    checked = check_root(root)
    if {k.upper() for k in options} & {"AWS_S3_ALLOW_UNSAFE_RENAME"}:
        raise SettingError("AWS_S3_ALLOW_UNSAFE_RENAME is set: remove it; concurrent commits would be lost")
    if empty := sorted(k for k, v in options.items() if not v):  # they would hide the machine's role, or crash delta-rs
        raise SettingError(f"{', '.join(empty)}: set, but empty: unset it, or give it a value")
    return Lake(checked, options)


def filesystem(lake: Lake) -> fs.FileSystem:
    """Return the filesystem of a lake; it is created once and keeps its connections."""
    return _filesystem(urlsplit(lake.root).scheme, tuple(sorted(lake.options.items())))


@contextmanager
def opened_beside(lake: Lake) -> Iterator[None]:
    """Create the filesystem of a lake in a thread, which takes 20 ms, while the caller asks the source."""
    with ThreadPoolExecutor(1, thread_name_prefix="lake") as pool:
        pool.submit(filesystem, lake)
        yield


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
        allow_delayed_open=True,  # one request for a small file, not the three of an upload in parts
    )


def write_bytes(lake: Lake, key: str, content: bytes) -> None:
    """Write a small file."""
    _write(filesystem(lake), lake.path(key), pa.py_buffer(content))


def read_bytes(lake: Lake, key: str) -> bytes:
    """
    Read a small file.

    Raises:
        FileNotFoundError: there is none.
    """
    return bytes(_read(lake, key).to_pybytes())


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
    make_folder(files, path)
    with files.open_output_stream(path) as stream:
        stream.write(data)


def make_folder(files: fs.FileSystem, path: str) -> None:
    """Make the folder of a file; object storage has none."""
    if isinstance(files, fs.LocalFileSystem):
        files.create_dir(path.rpartition("/")[0])
