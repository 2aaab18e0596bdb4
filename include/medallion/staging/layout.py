"""
Where a batch is staged in the lake, below `_staging/<pipeline>/<batch>/`.

    window.json             what the batch is
    raw-<window>/           rows as they were read: the archive
    enriched-<window>/      rows as the sinks get them
    quarantined-<window>/   rows that broke the contract

Each stage has a file for each part, and for each chunk of the table in which the part has rows.
"""

from __future__ import annotations

import re

from include.medallion.model.window import Window


def batch_folder(pipeline: str, batch_id: int) -> str:
    """Return the key below which a batch is staged."""
    return f"_staging/{pipeline}/{batch_id}"


def stage_folder(window: Window, stage: str) -> str:
    """
    Return the key below which a stage of the batch is (raw, enriched, quarantined).

    It names the window too: batch ids come from clocks, and two windows that got the same one must not mix their rows.
    """
    folder = batch_folder(window.pipeline, window.batch_id)
    return f"{folder}/{stage}-{window.mode}-{window.after}-{window.upto}"


def part_file(window: Window, stage: str, part: int, chunk: int = 0) -> str:
    """Return the key of a file in a stage of the batch: the rows of a part that were read with a chunk of the table."""
    return f"{stage_folder(window, stage)}/part-{part:04d}-{chunk:04d}.parquet"


def numbers_of(key: str) -> tuple[int, int] | None:
    """Return the part and the chunk of a staged file; None for a file that is named otherwise."""
    found = re.fullmatch(r"part-(\d+)-(\d+)\.parquet", key.rpartition("/")[2])
    return (int(found[1]), int(found[2])) if found else None


ENRICHED, QUARANTINED = "enriched", "quarantined"


RAW = "raw"


WINDOW = "window.json"


KEYS = "keys"
