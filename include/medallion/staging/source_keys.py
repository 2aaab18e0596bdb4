"""The keys of the source that a reconcile staged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from pyarrow import fs

from include.medallion.lake.object_store import Lake, filesystem, read_json
from include.medallion.model.window import Window
from include.medallion.staging.parts import Part


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """One reconcile's look at the source: what is staged, and what it may be compared with."""

    window: Window  # rows below `upto` are due in both sinks
    parts: list[Part]  # of all keys, also those that are not due
    set_aside: int  # rows in quarantine: due in no sink

    @property
    def rows(self) -> int:
        """Rows that the source has."""
        return sum(p.rows for p in self.parts)

    def to_json(self) -> dict:
        """As it is kept in staging until the reconcile is done."""
        return {"window": self.window.to_json(), "parts": [asdict(p) for p in self.parts], "set_aside": self.set_aside}

    @classmethod
    def from_json(cls, data: dict) -> SourceKeys:
        """Inverse of `to_json`."""
        return cls(Window.from_json(data["window"]), [Part(**p) for p in data["parts"]], data["set_aside"])


def unfinished_reconciles(lake: Lake, pipeline: str) -> Iterator[SourceKeys]:
    """Yield what was begun and never finished, oldest first."""
    folder = fs.FileSelector(lake.path(_markers(pipeline)), allow_not_found=True)
    names = (info.base_name for info in filesystem(lake).get_file_info(folder) if info.type is fs.FileType.File)
    for name in sorted(names):
        with suppress(FileNotFoundError):  # finished meanwhile by another
            yield SourceKeys.from_json(read_json(lake, f"{_markers(pipeline)}/{name}"))


def _markers(pipeline: str) -> str:
    return f"_staging/{pipeline}/_reconciling"


def _marker(pipeline: str, batch_id: int) -> str:
    return f"{_markers(pipeline)}/{batch_id}.json"
