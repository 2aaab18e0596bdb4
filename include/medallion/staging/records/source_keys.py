"""
The keys of the source that a reconcile compares with the sinks.

    _staging/<pipeline>/<batch>/keys-<window>/part-0000-0000.parquet   key columns and `_version`
    _staging/<pipeline>/_reconciling/<batch>.json                      a reconcile that has not finished
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pyarrow import fs

from include.medallion.lake.object_store import Lake, delete_files, filesystem
from include.medallion.model.window import Window
from include.medallion.staging.layout import window_file
from include.medallion.staging.parts import Part
from include.medallion.staging.records.documents import read_document, write_document


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """
    The keys of the source at one moment, and what they may be compared with.

    Args:
        window: rows whose version is below `upto` are due in every sink.
        parts: all keys, also those that are not due, partitioned by the hash of the key.
        quarantined: rows whose key no sink can hold; they are not staged.
        waiting: of the staged keys, those whose row is in quarantine: no sink holds them.
    """

    window: Window
    parts: tuple[Part, ...]
    quarantined: int
    waiting: int = 0

    @property
    def rows(self) -> int:
        """Keys that are staged."""
        return sum(part.rows for part in self.parts)


def record_keys(lake: Lake, keys: SourceKeys) -> None:
    """Record that a reconcile has staged its keys."""
    write_document(lake, window_file(keys.window.pipeline, keys.window.batch_id), keys.window)


def begin_deletes(lake: Lake, keys: SourceKeys) -> None:
    """Record that the deletes of a reconcile may be applied, and are to be applied to every sink."""
    write_document(lake, _marker(keys.window), keys)


def finish_reconcile(lake: Lake, keys: SourceKeys) -> None:
    """Record that every sink has the deletes of a reconcile."""
    delete_files(lake, [_marker(keys.window)])


def unfinished_reconciles(lake: Lake, pipeline: str) -> Iterator[SourceKeys]:
    """Yield the reconciles whose deletes not every sink may have, oldest first."""
    folder = fs.FileSelector(lake.path(_folder(pipeline)), allow_not_found=True)
    names = (info.base_name for info in filesystem(lake).get_file_info(folder) if info.type is fs.FileType.File)
    for name in sorted(names):
        with suppress(FileNotFoundError):  # another task finished it meanwhile
            yield read_document(lake, f"{_folder(pipeline)}/{name}", SourceKeys)


def _folder(pipeline: str) -> str:
    return f"_staging/{pipeline}/_reconciling"


def _marker(window: Window) -> str:
    return f"{_folder(window.pipeline)}/{window.batch_id}.json"
