"""
Enriched parts as files of Gold: copied within the object storage and named in the log, not read and written again.

An enriched part has Gold's schema. What is copied and then not committed (a lost race, a kill) is in no version of the
table; vacuum removes it.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction

from include.medallion.delta import FILE_BYTES
from include.medallion.enrich import ENRICHED
from include.medallion.extract import Part
from include.medallion.gold_keys import bounded
from include.medallion.lake import Lake, filesystem, open_parquet
from include.medallion.pipeline import Pipeline
from include.medallion.schema import BATCH_ID, VERSION, columns_of
from include.medallion.window import Window

COPIES = 4  # at a time
_PLAIN_WRITER = 2
"""Delta's writer version up to which a table asks nothing of a new file but its schema."""


@dataclass(frozen=True)
class Staged:
    """What a staged file tells of itself."""

    schema: pa.Schema
    footer: pq.FileMetaData
    size: int  # bytes


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
    staged = {key: _staged(lake, key) for part in parts for key in part.files(window, ENRICHED)}
    ranges = len({chunk for part in parts for chunk in part.chunks}) == len(staged)
    alike = all(file.schema.equals(schema, check_metadata=False) for file in staged.values())
    if not (ranges and alike and _sized([file.size for file in staged.values()]) and _fits(table, schema)):
        return False
    bounds = [*bounded(pipeline, columns_of(schema)), VERSION, BATCH_ID]
    moment = int(window.opened_at.timestamp() * 1000)
    with ThreadPoolExecutor(COPIES, thread_name_prefix="copy") as pool:
        names = pool.map(lambda key: _copy(lake, key, pipeline.gold.table), staged)
        added = [
            AddAction(quote(name), file.size, {}, moment, True, json.dumps(_statistics(file.footer, bounds)))
            for name, file in zip(names, staged.values(), strict=True)
        ]
    table.create_write_transaction(added, "append", Schema.from_arrow(schema), commit_properties=commit)
    return True


def _staged(lake: Lake, key: str) -> Staged:
    with open_parquet(lake, key) as file:
        size = filesystem(lake).get_file_info(lake.path(key)).size
        return Staged(file.schema_arrow, file.metadata, size)


def _sized(sizes: list[int]) -> bool:
    """Tell whether files of these sizes may stay as they are: none huge, and if there are many, not small."""
    return max(sizes) <= 4 * FILE_BYTES and (len(sizes) == 1 or sum(sizes) >= len(sizes) * FILE_BYTES // 8)


def _copy(lake: Lake, key: str, table: str) -> str:
    """Copy a file within the storage, into a table's folder; return its new name there."""
    name = f"part-{uuid.uuid4()}.parquet"
    filesystem(lake).copy_file(lake.path(key), lake.path(f"{table}/{name}"))
    return name


def _fits(table: DeltaTable, schema: pa.Schema) -> bool:
    """Tell whether any file of this schema may be added as it is."""
    about = table.metadata()
    simple = table.protocol().min_writer_version <= _PLAIN_WRITER and not about.partition_columns
    bare = not any(name.startswith("delta.constraints.") for name in about.configuration)
    return simple and bare and table.schema() == Schema.from_arrow(schema)


def _statistics(footer: pq.FileMetaData, columns: list[str]) -> dict:
    """Return what the log tells of a file: its rows, and bounds of columns that tell nothing of a person."""
    found = {name: _bounds(footer, name) for name in columns}
    known = {name: bounds for name, bounds in found.items() if bounds}
    return {
        "numRecords": footer.num_rows,
        "minValues": {name: least for name, (least, _) in known.items()},
        "maxValues": {name: most for name, (_, most) in known.items()},
        "nullCount": dict.fromkeys(known, 0),
    }


def _bounds(footer: pq.FileMetaData, name: str) -> tuple[int, int] | None:
    """Return a column's smallest and largest value; None if a row group does not tell, or has NULLs."""
    index = footer.schema.names.index(name)
    chunks = [footer.row_group(g).column(index).statistics for g in range(footer.num_row_groups)]
    if not chunks or not all(s and s.has_min_max and s.null_count == 0 for s in chunks):
        return None
    return min(s.min for s in chunks), max(s.max for s in chunks)
