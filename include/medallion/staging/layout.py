"""
Where a batch is staged in the lake, below `_staging/<pipeline>/<batch>/`.

    window.json                               what the batch is; written first
    raw-<window>/part-0000-0000.parquet       rows as they were read: part, chunk of the table
    raw-<window>/manifest.json                the parts and their files; written once all rows are staged
    enriched-<window>/part-0000-0000.parquet  rows as the sinks get them
    enriched-<window>/part-0000.json          manifest of one part; written once its rows are staged
    quarantined-<window>/...                  rows that no sink can hold
    applied-<window>/<sink>.json              what a sink did with the batch
    gone-<window>/part-0000-0000.parquet      keys that the log names and the source no longer has
    log-<window>/read.json                    what was read of the log
    keys-<window>/..., keys-<window>/manifest.json, report.json   of a reconcile
"""

from __future__ import annotations

from include.medallion.model.window import Window

RAW, ENRICHED, QUARANTINED, APPLIED, KEYS, GONE = "raw", "enriched", "quarantined", "applied", "keys", "gone"
"""Stages of a batch."""


def schema_file(pipeline: str, number: int) -> str:
    """Return the path of a recorded schema. Schemas are small and never deleted: positions of sinks name them."""
    return f"_staging/{pipeline}/_schemas/{number}.json"


def batch_folder(pipeline: str, batch_id: int) -> str:
    """Return the path below which a batch is staged."""
    return f"_staging/{pipeline}/{batch_id}"


def window_file(pipeline: str, batch_id: int) -> str:
    """Return the path of the document that describes a batch's window."""
    return f"{batch_folder(pipeline, batch_id)}/window.json"


def stage_folder(window: Window, stage: str) -> str:
    """
    Return the path below which a stage of the batch is.

    It names the window too: batch ids come from clocks, and two windows with the same id must not mix their rows.
    """
    folder = batch_folder(window.pipeline, window.batch_id)
    return f"{folder}/{stage}-{window.mode}-{window.after}-{window.upto}"


def part_file(window: Window, stage: str, part: int, chunk: int = 0) -> str:
    """Return the path of the rows of a part that were read with one chunk of the table."""
    return f"{stage_folder(window, stage)}/part-{part:04d}-{chunk:04d}.parquet"


def log_file(window: Window) -> str:
    """Return the path of the document that says what was read of the log."""
    return f"{stage_folder(window, 'log')}/read.json"


def stage_manifest(window: Window, stage: str) -> str:
    """Return the path of the manifest of a whole stage."""
    return f"{stage_folder(window, stage)}/manifest.json"


def part_manifest(window: Window, part: int) -> str:
    """Return the path of the manifest of one enriched part."""
    return f"{stage_folder(window, ENRICHED)}/part-{part:04d}.json"


def applied_file(window: Window, sink: str) -> str:
    """Return the path of the document that says what a sink did with the batch."""
    return f"{stage_folder(window, APPLIED)}/{sink}.json"
