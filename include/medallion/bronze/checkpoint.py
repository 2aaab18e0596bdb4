"""
How far the extract of a batch has come: kept beside its parts while it runs, so that a retry reads the rest only.

    _staging/<pipeline>/<batch>/raw-<window>/checkpoint.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from include.medallion.bronze.chunks import ChunkLayout
from include.medallion.lake.object_store import Lake, delete_files, list_files, put_json, read_json
from include.medallion.model.window import Window
from include.medallion.staging.layout import part_file, stage_folder


@dataclass(frozen=True)
class Checkpoint:
    """Which chunks of a layout are staged, whole."""

    layout: ChunkLayout
    parts: int = 0  # that rows are cut into; 0 as long as nobody knows
    rows: Mapping[int, Mapping[int, int]] = field(default_factory=dict)  # by chunk and part

    def with_chunk(self, number: int, rows: Mapping[int, int]) -> Checkpoint:
        """Return this, and one more chunk."""
        return replace(self, rows={**self.rows, number: rows})

    @property
    def progress(self) -> tuple[int, int, int]:
        """Chunks that are staged, chunks in all, rows that are staged."""
        return len(self.rows), self.layout.chunks, sum(n for parts in self.rows.values() for n in parts.values())


def load(lake: Lake, window: Window, stage: str, layout: ChunkLayout) -> Checkpoint:
    """
    Return where an earlier try of this batch stopped, or the start.

    If the table's files were written anew since, its chunks are not those that were read; if its columns changed, they
    would not fit together: that is the start, too.
    """
    kept = _read_saved(lake, window, stage) if layout.chunks > 1 else None
    if kept is None or kept.layout.identity != layout.identity:
        return Checkpoint(layout)
    there = set(list_files(lake, stage_folder(window, stage)))
    whole = {n: rows for n, rows in kept.rows.items() if {part_file(window, stage, p, n) for p in rows} <= there}
    return replace(kept, rows=whole)


def delete_leftovers(lake: Lake, window: Window, stage: str, reached: Checkpoint) -> None:
    """Delete what earlier tries staged and this one, complete now, did not: until then it is in nobody's way."""
    done = {part_file(window, stage, part, n) for n, rows in reached.rows.items() for part in rows}
    delete_files(lake, sorted(set(list_files(lake, stage_folder(window, stage))) - done))


def save(lake: Lake, window: Window, stage: str, reached: Checkpoint) -> None:
    """Write down what is staged: after it is."""
    put_json(lake, _key(window, stage), asdict(reached))


def discard(lake: Lake, window: Window, stage: str) -> None:
    """Forget how far an extract had come: cleared by hand, it starts anew."""
    delete_files(lake, [_key(window, stage)])


def _read_saved(lake: Lake, window: Window, stage: str) -> Checkpoint | None:
    try:
        kept = read_json(lake, _key(window, stage))
    except FileNotFoundError:
        return None
    rows = {int(n): {int(part): count for part, count in parts.items()} for n, parts in kept["rows"].items()}
    return Checkpoint(ChunkLayout(**kept["layout"]), kept["parts"], rows)


def _key(window: Window, stage: str) -> str:
    return f"{stage_folder(window, stage)}/checkpoint.json"
