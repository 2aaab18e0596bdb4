"""
Remove staged batches whose values must not be kept any longer: a column is excluded or masked since.

    _staging/<pipeline>/_remove.json   that batches older than this one are to be removed

The document is written before the batch that brings the change is staged, and deleted once the older batches are gone,
so that a killed run leaves the rest to the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.medallion.lake.object_store import Lake, delete_files, filesystem
from include.medallion.model.window import Window
from include.medallion.staging.archive import batch_ids
from include.medallion.staging.layout import batch_folder
from include.medallion.staging.records.documents import read_document, write_document
from include.medallion.staging.records.source_keys import finish_reconcile, unfinished_reconciles


@dataclass(frozen=True, slots=True)
class Removal:
    """Batches older than `before` are to be removed."""

    before: int


def schedule_removal(lake: Lake, window: Window) -> None:
    """Record that the batches older than this one are to be removed once all sinks hold it."""
    write_document(lake, _path(window.pipeline), Removal(window.batch_id))


def scheduled_removal(lake: Lake, pipeline: str) -> int | None:
    """Return the batch whose predecessors are to be removed; None if there is nothing to remove."""
    try:
        return read_document(lake, _path(pipeline), Removal).before
    except FileNotFoundError:
        return None


def remove_batches(lake: Lake, pipeline: str, before: int) -> int:
    """
    Delete staged batches older than `before`, unfinished reconciles included; return how many.

    To be called when all sinks hold that batch. Idempotent.
    """
    for keys in unfinished_reconciles(lake, pipeline):
        if keys.window.batch_id < before:  # its keys are staged as they were
            finish_reconcile(lake, keys)
    old = [batch for batch in batch_ids(lake, pipeline) if batch < before]
    for batch in old:
        filesystem(lake).delete_dir(lake.path(batch_folder(pipeline, batch)))
    return len(old)


def finish_removal(lake: Lake, pipeline: str) -> None:
    """Record that nothing is left to remove."""
    delete_files(lake, [_path(pipeline)])


def _path(pipeline: str) -> str:
    return f"_staging/{pipeline}/_remove.json"
