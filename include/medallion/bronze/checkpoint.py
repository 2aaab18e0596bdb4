"""
How far the extract of a batch has come, kept in staging while it runs, so that a retry reads only the rest.

    _staging/<pipeline>/<batch>/raw-<window>/checkpoint.json
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from include.medallion.bronze.chunks import ChunkLayout
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, delete_files, list_files
from include.medallion.model.window import Window
from include.medallion.staging.layout import RAW, stage_folder
from include.medallion.staging.parts import Part, StagedFile
from include.medallion.staging.records.documents import read_document, write_document


@dataclass(frozen=True)
class Checkpoint:
    """The chunks of a table that are staged completely."""

    layout: ChunkLayout
    part_count: int = 0  # parts that rows are cut into; 0 as long as it is not decided
    files: dict[int, dict[int, StagedFile]] = field(default_factory=dict)  # by chunk and part

    def with_chunk(self, number: int, files: dict[int, StagedFile]) -> Checkpoint:
        """Return a checkpoint with one more chunk."""
        return replace(self, files={**self.files, number: files})

    @property
    def progress(self) -> tuple[int, int, int]:
        """Chunks that are staged, chunks in all, rows that are staged."""
        rows = sum(file.info.rows for files in self.files.values() for file in files.values())
        return len(self.files), self.layout.chunks, rows

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that got rows, with their files in the order of the chunks."""
        numbers = sorted({part for files in self.files.values() for part in files})
        return tuple(Part(number, self.part_count, self._files_of(number)) for number in numbers)

    def _files_of(self, part: int) -> tuple[StagedFile, ...]:
        return tuple(files[part] for _, files in sorted(self.files.items()) if part in files)


def load(lake: Lake, window: Window, layout: ChunkLayout) -> Checkpoint:
    """
    Return where an earlier try of this batch stopped, or an empty checkpoint.

    An earlier try does not count if the table's files were rewritten since (its chunks are others) or its columns
    changed (its rows would not fit).
    """
    saved = _read_saved(lake, window) if layout.chunks > 1 else None
    if saved is None or saved.layout.identity != layout.identity:
        return Checkpoint(layout)
    there = set(list_files(lake, stage_folder(window, RAW)))
    complete = {n: files for n, files in saved.files.items() if {file.path for file in files.values()} <= there}
    return replace(saved, files=complete)


def save(lake: Lake, window: Window, reached: Checkpoint) -> None:
    """Record what is staged; to be called once it is."""
    write_document(lake, _path(window), reached)


def discard(lake: Lake, window: Window) -> None:
    """Forget how far an extract has come: cleared by hand, it starts from the beginning."""
    delete_files(lake, [_path(window)])


def delete_leftovers(lake: Lake, window: Window, reached: Checkpoint) -> None:
    """Delete files of earlier tries that the completed one did not write."""
    written = {file.path for files in reached.files.values() for file in files.values()}
    delete_files(lake, sorted(set(list_files(lake, stage_folder(window, RAW))) - written))


def _read_saved(lake: Lake, window: Window) -> Checkpoint | None:
    try:
        return read_document(lake, _path(window), Checkpoint)
    except (FileNotFoundError, ContractBroken):  # a damaged checkpoint costs a re-read, nothing else
        return None


def _path(window: Window) -> str:
    return f"{stage_folder(window, RAW)}/checkpoint.json"
