"""Staged batches of earlier runs: enough to enrich or load one again without the source and without Airflow."""

from __future__ import annotations

from dataclasses import dataclass

from pyarrow import fs

from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.model.window import Mode, Window
from include.medallion.staging.layout import window_file
from include.medallion.staging.records.documents import read_document
from include.medallion.staging.records.manifests import Incomplete, read_enriched, read_extracted


@dataclass(frozen=True, slots=True)
class ArchivedBatch:
    """One line of the list of staged batches."""

    batch_id: int
    window: Window | None  # None where its document is missing or damaged
    rows: int | None  # that were read; None while `extract` has not finished
    state: str  # complete, not enriched, incomplete, damaged or reconcile


def batch_ids(lake: Lake, pipeline: str) -> list[int]:
    """
    Return the ids of a pipeline's staged batches, oldest first.

    A batch has files: some S3 servers keep listing the folders of deleted objects.
    """
    root = lake.path(f"_staging/{pipeline}")
    found = filesystem(lake).get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True))
    paths = (info.path[len(root) + 1 :] for info in found if info.type is fs.FileType.File)
    names = {path.partition("/")[0] for path in paths}
    return sorted(int(name) for name in names if name.isdigit())


def read_window(lake: Lake, pipeline: str, batch_id: int) -> Window:
    """
    Return the window of a staged batch.

    Raises:
        SettingError: there is no such batch, or it holds no rows to load; the message says what there is.
        ContractBroken: its document is damaged.
    """
    try:
        window = read_document(lake, window_file(pipeline, batch_id), Window)
    except FileNotFoundError:
        newest = batch_ids(lake, pipeline)[-5:]
        raise SettingError(f"no batch {batch_id} of {pipeline} is staged; the newest are {newest or 'none'}") from None
    if window.mode is Mode.RECONCILE:
        raise SettingError(f"batch {batch_id} is a reconcile: it holds keys only, there is nothing to load")
    return window


def list_batches(lake: Lake, pipeline: str) -> list[ArchivedBatch]:
    """Describe a pipeline's staged batches, oldest first; incomplete and damaged ones included."""
    return [_describe(lake, pipeline, batch_id) for batch_id in batch_ids(lake, pipeline)]


def _describe(lake: Lake, pipeline: str, batch_id: int) -> ArchivedBatch:
    try:
        window = read_document(lake, window_file(pipeline, batch_id), Window)
    except (FileNotFoundError, ContractBroken):
        return ArchivedBatch(batch_id, None, None, "damaged")
    if window.mode is Mode.RECONCILE:
        return ArchivedBatch(batch_id, window, None, "reconcile")
    try:
        rows = sum(part.rows for part in read_extracted(lake, window))
    except ContractBroken as e:
        return ArchivedBatch(batch_id, window, None, "incomplete" if isinstance(e, Incomplete) else "damaged")
    return ArchivedBatch(batch_id, window, rows, _state(lake, window))


def _state(lake: Lake, window: Window) -> str:
    try:
        read_enriched(lake, window)
    except Incomplete:
        return "not enriched"
    except ContractBroken:
        return "damaged"
    return "complete"
