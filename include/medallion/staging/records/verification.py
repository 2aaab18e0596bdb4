"""
How far the values of a pipeline have been compared.

    _staging/<pipeline>/_verified/<pass>.json   `share`: the daily share; `all`: a pass over the whole table

A key is in these documents, as keys are in staged rows; it is in no message and no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, delete_files
from include.medallion.staging.records.documents import read_document, write_document


@dataclass(frozen=True, slots=True)
class Progress:
    """
    Where the next comparison begins.

    Args:
        at: when the last one ended, UTC.
        key: names and types of the key columns; with others, it begins again.
        after: the first key that has not been compared; empty for the first of the table.
        rows: compared since the beginning of this pass.
        different: rows that differed in this pass, by sink and column.
    """

    at: datetime
    key: tuple[str, ...]
    after: tuple[str, ...] = ()
    rows: int = 0
    different: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def read_progress(lake: Lake, pipeline: str, what: str) -> Progress | None:
    """Return how far a pass has come; None for one that has not begun, or whose document is damaged."""
    try:
        return read_document(lake, _path(pipeline, what), Progress)
    except (FileNotFoundError, ContractBroken):
        return None


def write_progress(lake: Lake, pipeline: str, what: str, progress: Progress) -> None:
    """Record how far a pass has come."""
    write_document(lake, _path(pipeline, what), progress)


def forget_progress(lake: Lake, pipeline: str, what: str) -> None:
    """Record that a pass has ended: the next one begins with the first key."""
    delete_files(lake, [_path(pipeline, what)])


def _path(pipeline: str, what: str) -> str:
    return f"_staging/{pipeline}/_verified/{what}.json"
