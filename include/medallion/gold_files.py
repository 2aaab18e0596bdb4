"""Files of the Delta table: which tables take one as it is, and what the log says of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction

from include.medallion.gold_keys import bounded
from include.medallion.lake import Lake, filesystem, open_parquet
from include.medallion.pipeline import Pipeline
from include.medallion.schema import BATCH_ID, VERSION, columns_of
from include.medallion.window import Window

_PLAIN_WRITER = 2
"""Delta's writer version up to which a table asks nothing of a new file but its schema."""


@dataclass(frozen=True)
class File:
    """What a Parquet file in the lake tells of itself."""

    schema: pa.Schema
    footer: pq.FileMetaData
    size: int  # bytes


def described(lake: Lake, key: str) -> File:
    """Read the footer of a file."""
    with open_parquet(lake, key) as file:
        size = filesystem(lake).get_file_info(lake.path(key)).size
        return File(file.schema_arrow, file.metadata, size)


def fits(table: DeltaTable, schema: pa.Schema) -> bool:
    """Tell whether any file of this schema may be added as it is."""
    about = table.metadata()
    simple = table.protocol().min_writer_version <= _PLAIN_WRITER and not about.partition_columns
    bare = not any(name.startswith("delta.constraints.") for name in about.configuration)
    return simple and bare and table.schema() == Schema.from_arrow(schema)


def new_name() -> str:
    """Name a new file; below the table's folder."""
    return f"part-{uuid.uuid4()}.parquet"


def addition(pipeline: Pipeline, window: Window, name: str, file: File) -> AddAction:
    """Say to the log that a file is one of the table's."""
    bounds = [*bounded(pipeline, columns_of(file.schema)), VERSION, BATCH_ID]
    moment = int(window.opened_at.timestamp() * 1000)
    return AddAction(quote(name), file.size, {}, moment, True, json.dumps(_statistics(file.footer, bounds)))


def _statistics(footer: pq.FileMetaData, columns: Sequence[str]) -> dict:
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
