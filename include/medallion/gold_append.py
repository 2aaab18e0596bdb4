"""
Enriched parts as files of Gold: copied within the object storage and named in the log, not read and written again.

An enriched part has Gold's schema. What is copied and then not committed (a lost race, a kill) is in no version of the
table; vacuum removes it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema

from include.medallion.delta import FILE_BYTES
from include.medallion.enrich import ENRICHED
from include.medallion.extract import Part
from include.medallion.gold_files import addition, described, fits, new_name
from include.medallion.lake import Lake, filesystem
from include.medallion.pipeline import Pipeline
from include.medallion.window import Window

COPIES = 4  # at a time


def adopt(
    lake: Lake,
    table: DeltaTable,
    pipeline: Pipeline,
    schema: pa.Schema,
    window: Window,
    parts: list[Part],
    commit: CommitProperties,
) -> bool:
    """
    Append a batch by making its files those of the table, in one conditional commit; False if they cannot be.

    They cannot if rows of one chunk of the source are in several parts (each then holds keys from all over it: written
    in turns they are cut by range), if they are much larger or smaller than the table's files, or if the table has
    other columns or asks more of a writer.

    Raises:
        CommitFailedError: another commit came first; nothing is changed.
    """
    staged = {key: described(lake, key) for part in parts for key in part.files(window, ENRICHED)}
    ranges = len({chunk for part in parts for chunk in part.chunks}) == len(staged)
    alike = all(file.schema.equals(schema, check_metadata=False) for file in staged.values())
    if not (ranges and alike and _sized([file.size for file in staged.values()]) and fits(table, schema)):
        return False
    with ThreadPoolExecutor(COPIES, thread_name_prefix="copy") as pool:
        names = pool.map(lambda key: _copy(lake, key, pipeline.gold.table), staged)
        added = [addition(pipeline, window, name, file) for name, file in zip(names, staged.values(), strict=True)]
    table.create_write_transaction(added, "append", Schema.from_arrow(schema), commit_properties=commit)
    return True


def _sized(sizes: list[int]) -> bool:
    """Tell whether files of these sizes may stay as they are: none huge, and if there are many, not small."""
    return max(sizes) <= 4 * FILE_BYTES and (len(sizes) == 1 or sum(sizes) >= len(sizes) * FILE_BYTES // 8)


def _copy(lake: Lake, key: str, table: str) -> str:
    """Copy a file within the storage, into a table's folder; return its new name there."""
    name = new_name()
    filesystem(lake).copy_file(lake.path(key), lake.path(f"{table}/{name}"))
    return name
