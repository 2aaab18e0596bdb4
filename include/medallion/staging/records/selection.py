"""
Which rows a reload reads again.

    _staging/<pipeline>/<batch>/selection.json   the SQL condition, or where the keys are
    _staging/<pipeline>/<batch>/selected-<window>/part-0000-0000.parquet   the keys

It is in the lake, not in the window: a condition or a key may hold personal data, and windows travel through XCom.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.window import Window
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.layout import batch_folder, part_file
from include.medallion.staging.parts import StagedFile
from include.medallion.staging.records.documents import read_document, write_document

_STAGE = "selected"


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What a reload reads.

    Args:
        condition: SQL that its rows meet.
        keys: file with the keys of its rows, where it was not a condition that chose them.
    """

    condition: str = ""
    keys: StagedFile | None = None


def write_condition(lake: Lake, window: Window, condition: str) -> None:
    """Record the condition that the rows of a reload meet."""
    write_document(lake, _path(window), Selection(condition))


def write_keys(lake: Lake, window: Window, keys: pa.Table) -> None:
    """Record the keys of the rows of a reload."""
    path = part_file(window, _STAGE, 0)
    with create_parquet(lake, path, keys.schema) as out:
        for batch in keys.to_batches():
            out.write_batch(batch)
    write_document(lake, _path(window), Selection(keys=StagedFile(path, 0, out.file)))


def read_selection(lake: Lake, window: Window) -> Selection:
    """
    Return what a reload reads.

    Raises:
        ContractBroken: it is not staged any more.
    """
    try:
        return read_document(lake, _path(window), Selection)
    except FileNotFoundError:
        raise ContractBroken(
            f"batch {window.batch_id} of {window.pipeline} is a reload whose selection is not staged any more: trigger "
            "it again"
        ) from None


def read_keys(lake: Lake, file: StagedFile) -> pa.Table:
    """Return the keys of the rows of a reload."""
    return read_staged_table(lake, file)


def _path(window: Window) -> str:
    return f"{batch_folder(window.pipeline, window.batch_id)}/selection.json"
