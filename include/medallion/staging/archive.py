"""
Staged batches as they lie in the archive: enough to enrich or load one again.

A batch's window is kept beside its parts, so that a batch needs neither the
source nor Airflow to be replayed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from pyarrow import fs

from include.medallion.errors import SettingError
from include.medallion.lake.object_store import Lake, filesystem, list_files, open_parquet, read_json
from include.medallion.model.window import Mode, Window
from include.medallion.staging.layout import ENRICHED, QUARANTINED, RAW, WINDOW, batch_folder, numbers_of, stage_folder
from include.medallion.staging.parts import EnrichedPart, Part


def batches(lake: Lake, pipeline: str) -> list[int]:
    """List the ids of a pipeline's staged batches, oldest first."""
    folder = fs.FileSelector(lake.path(f"_staging/{pipeline}"), allow_not_found=True)
    names = [info.base_name for info in filesystem(lake).get_file_info(folder) if info.type is fs.FileType.Directory]
    return sorted(int(name) for name in names if name.isdigit())


def window(lake: Lake, pipeline: str, batch_id: int) -> Window:
    """
    Return the window of a staged batch.

    Raises:
        SettingError: there is no such batch; the message lists the newest there are.
    """
    try:
        return Window.from_json(read_json(lake, f"{batch_folder(pipeline, batch_id)}/{WINDOW}"))
    except FileNotFoundError:
        newest = batches(lake, pipeline)[-5:]
        raise SettingError(f"no batch {batch_id} of {pipeline} is staged; the newest are {newest or 'none'}") from None


def parts(lake: Lake, opened: Window) -> list[Part]:
    """Return references to the raw parts of a batch."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for part, chunk in filter(None, map(numbers_of, list_files(lake, stage_folder(opened, RAW)))):
        numbers[part].append(chunk)
    found = [Part(part, 0, max(numbers) + 1, tuple(sorted(chunks))) for part, chunks in sorted(numbers.items())]
    return [replace(part, rows=_rows(lake, opened, RAW, part)) for part in found]


def enriched(lake: Lake, opened: Window) -> list[EnrichedPart]:
    """
    Return what became of each part, as far as its files tell.

    Raises:
        SettingError: the batch has no rows to load: it was a reconcile.
    """
    if opened.mode is Mode.RECONCILE:
        raise SettingError(f"batch {opened.batch_id} is a reconcile: it holds keys only, there is nothing to load")
    found = []
    for part in parts(lake, opened):
        good, bad = (_rows(lake, opened, stage, part) for stage in (ENRICHED, QUARANTINED))
        found.append(EnrichedPart(part.number, part.rows, good, bad, part.rows - good - bad, part.chunks))
    return found


def _rows(lake: Lake, opened: Window, stage: str, part: Part) -> int:
    try:
        return sum(_counted(lake, file) for file in part.files(opened, stage))
    except FileNotFoundError:
        number, batch = part.number, opened.batch_id
        raise SettingError(f"part {number} of batch {batch} is not {stage} yet: run `enrich` first") from None


def _counted(lake: Lake, file: str) -> int:
    with open_parquet(lake, file) as opened:
        return opened.metadata.num_rows
