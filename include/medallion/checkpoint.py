"""
How far the extract of a batch has come: kept beside its parts while it runs, so that a retry reads the rest only.

    _staging/<pipeline>/<batch>/raw-<window>/checkpoint.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from include.medallion.bronze_chunks import Layout
from include.medallion.lake import Lake, delete, keys, put_json, read_json
from include.medallion.staging import stage_folder, staged
from include.medallion.window import Window


@dataclass(frozen=True)
class Checkpoint:
    """Which chunks of a layout are staged, whole."""

    layout: Layout
    parts: int = 0  # that rows are cut into; 0 as long as nobody knows
    rows: Mapping[int, Mapping[int, int]] = field(default_factory=dict)  # by chunk and part

    def with_chunk(self, number: int, rows: Mapping[int, int]) -> Checkpoint:
        """Return this, and one more chunk."""
        return replace(self, rows={**self.rows, number: rows})

    @property
    def progress(self) -> tuple[int, int, int]:
        """Chunks that are staged, chunks in all, rows that are staged."""
        return len(self.rows), self.layout.chunks, sum(n for parts in self.rows.values() for n in parts.values())


def resume(lake: Lake, window: Window, stage: str, layout: Layout) -> Checkpoint:
    """
    Return where an earlier try of this batch stopped, or the start.

    If the table's files were written anew since, its chunks are not those that were read; if its columns changed, they
    would not fit together: that is the start, too.
    """
    kept = _kept(lake, window, stage) if layout.chunks > 1 else None
    if kept is None or kept.layout.identity != layout.identity:
        return Checkpoint(layout)
    there = set(keys(lake, stage_folder(window, stage)))
    whole = {n: rows for n, rows in kept.rows.items() if {staged(window, stage, p, n) for p in rows} <= there}
    return replace(kept, rows=whole)


def clear(lake: Lake, window: Window, stage: str, reached: Checkpoint) -> None:
    """Delete what earlier tries staged and this one, complete now, did not: until then it is in nobody's way."""
    done = {staged(window, stage, part, n) for n, rows in reached.rows.items() for part in rows}
    delete(lake, sorted(set(keys(lake, stage_folder(window, stage))) - done))


def keep(lake: Lake, window: Window, stage: str, reached: Checkpoint) -> None:
    """Write down what is staged: after it is."""
    put_json(lake, _key(window, stage), asdict(reached))


def finish(lake: Lake, window: Window, stage: str) -> None:
    """Forget how far an extract had come: cleared by hand, it starts anew."""
    delete(lake, [_key(window, stage)])


def _kept(lake: Lake, window: Window, stage: str) -> Checkpoint | None:
    try:
        kept = read_json(lake, _key(window, stage))
    except FileNotFoundError:
        return None
    rows = {int(n): {int(part): count for part, count in parts.items()} for n, parts in kept["rows"].items()}
    return Checkpoint(Layout(**kept["layout"]), kept["parts"], rows)


def _key(window: Window, stage: str) -> str:
    return f"{stage_folder(window, stage)}/checkpoint.json"
