"""
Batch ids that were given to a pipeline: each counts as used, whatever became of its batch.

    _staging/<pipeline>/_newest.json   the largest of them

Runs, trials, refreshes and reconciles share the ids. Without the record, one that a fast clock chose could be chosen
again, and a later batch could get a smaller id than an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
from include.medallion.staging.archive import batch_ids
from include.medallion.staging.records.documents import read_document, write_document


@dataclass(frozen=True, slots=True)
class _Newest:
    batch_id: int


def newest_id(lake: Lake, pipeline: str) -> int:
    """Return the largest batch id that was given to a pipeline; 0 if there is none."""
    try:
        return read_document(lake, _path(pipeline), _Newest).batch_id
    except (FileNotFoundError, ContractBroken):  # never written, or damaged: the archive knows all but the last
        return max(batch_ids(lake, pipeline), default=0)


def record_id(lake: Lake, pipeline: str, batch_id: int) -> None:
    """Record that a batch id was given to a pipeline; a smaller one than the newest changes nothing."""
    if batch_id > newest_id(lake, pipeline):  # read again: another run may have recorded a larger one meanwhile
        write_document(lake, _path(pipeline), _Newest(batch_id))


def _path(pipeline: str) -> str:
    return f"_staging/{pipeline}/_newest.json"
