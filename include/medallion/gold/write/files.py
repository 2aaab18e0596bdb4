"""A batch on its way into Gold as files: which tables take one as it is, and what the log says of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.table import ProtocolVersions
from deltalake.transaction import AddAction, RemoveAction

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.lake.parquet import Writer, column_bounds
from include.medallion.lake.parquet_files import create_parquet, open_parquet
from include.medallion.model.columns import BATCH_ID, VERSION
from include.medallion.model.window import Mode, Window
from include.medallion.staging.parts import StagedFile

_MAX_PLAIN_WRITER_VERSION = 2
"""Delta's writer version up to which a table asks nothing of a new file but its schema."""
_PLAIN_FEATURES = {"timestampNtz", "appendOnly", "invariants"}
"""Features of a later version that ask no more: of a type, and those of version 2."""


@dataclass(frozen=True)
class GoldBatch:
    """
    A batch and the opened table that it goes to.

    Args:
        schema: of the table once the batch is applied.
        files: staged rows for the table; none where a batch brings only deletes.
        commit: what the commit says of the batch.
        gone: files with the keys of rows that the source no longer has.
    """

    lake: Lake
    pipeline: Pipeline
    window: Window
    files: Sequence[StagedFile]
    table: DeltaTable
    schema: pa.Schema
    commit: CommitProperties
    gone: Sequence[StagedFile] = ()

    @property
    def gone_keys(self) -> int:
        """Keys of rows that the source no longer has."""
        return sum(file.info.rows for file in self.gone)

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return sum(file.info.rows for file in self.files)

    @property
    def key(self) -> list[str]:
        """Columns of the primary key."""
        return self.pipeline.key

    def path(self, name: str) -> str:
        """Return the path in the lake of a file of the table."""
        return f"{self.pipeline.gold_table}/{name}"

    def write(self, actions: list[AddAction | RemoveAction]) -> None:
        """Add files, and remove others (a full refresh: all others), in one conditional commit."""
        mode, schema = "overwrite" if self.window.mode is Mode.REFRESH else "append", Schema.from_arrow(self.schema)
        self.table.create_write_transaction(actions, mode, schema, commit_properties=self.commit)


@dataclass(frozen=True, slots=True)
class RowChanges:
    """How many rows of the table a batch has written over, and how many it has marked or removed."""

    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class ParquetInfo:
    """What a Parquet file in the lake tells of itself."""

    schema: pa.Schema
    footer: pq.FileMetaData
    size: int  # bytes


def read_info(lake: Lake, key: str) -> ParquetInfo:
    """Read the footer of a file."""
    with open_parquet(lake, key) as file:
        size = filesystem(lake).get_file_info(lake.path(key)).size
        return ParquetInfo(file.schema_arrow, file.metadata, size)


def stat_columns(key: Sequence[str], schema: pa.Schema) -> list[str]:
    """Return the key columns whose bounds help to skip files and reveal nothing of a person."""
    return [name for name in key if pa.types.is_integer(schema.field(name).type)]


def can_add_files(batch: GoldBatch) -> bool:
    """Return whether any file of the batch's schema may be added to the table as it is."""
    about = batch.table.metadata()
    simple = _is_plain(batch.table.protocol()) and not about.partition_columns
    bare = not any(name.startswith("delta.constraints.") for name in about.configuration)
    return simple and bare and _types(batch.table.schema()) == _types(Schema.from_arrow(batch.schema))


def _is_plain(protocol: ProtocolVersions) -> bool:
    """Return whether a protocol asks nothing of a new file but its schema, as far as `gold.inspect` lets it pass."""
    features = {*(protocol.writer_features or ())}
    return protocol.min_writer_version <= _MAX_PLAIN_WRITER_VERSION or (bool(features) and features <= _PLAIN_FEATURES)


def _types(schema: Schema) -> dict[str, object]:
    return {field.name: (field.type, field.nullable) for field in schema.fields}


def new_file_name() -> str:
    """Name a new file; below the table's folder."""
    return f"part-{uuid.uuid4()}.parquet"


def write_rows(batch: GoldBatch, pieces: Iterable[pa.RecordBatch]) -> AddAction:
    """Write rows as a file of the table; return what the commit says of it."""

    def fill(out: Writer) -> None:
        for piece in pieces:
            out.write_batch(pa.RecordBatch.from_arrays(piece.columns, schema=batch.schema))

    return write_file(batch, fill)


def write_file(batch: GoldBatch, fill: Callable[[Writer], None]) -> AddAction:
    """Make a file of the table, and let it be filled; return what the commit says of it."""
    name = new_file_name()
    with create_parquet(batch.lake, batch.path(name), batch.schema) as out:
        fill(out)
    return add_action(batch, name, read_info(batch.lake, batch.path(name)))


def add_action(batch: GoldBatch, name: str, file: ParquetInfo) -> AddAction:
    """Say to the log that a file is one of the table's."""
    bounds = [*stat_columns(batch.key, batch.schema), VERSION, BATCH_ID]
    moment = int(batch.window.opened_at.timestamp() * 1000)
    return AddAction(quote(name), file.size, {}, moment, True, json.dumps(_statistics(file.footer, bounds)))


def _statistics(footer: pq.FileMetaData, columns: Sequence[str]) -> dict[str, object]:
    """Return what the log tells of a file: its rows, and bounds of columns that tell nothing of a person."""
    found = {name: column_bounds(footer, name) for name in columns}
    known = {name: bounds for name, bounds in found.items() if bounds}
    return {
        "numRecords": footer.num_rows,
        "minValues": {name: least for name, (least, _) in known.items()},
        "maxValues": {name: most for name, (_, most) in known.items()},
        "nullCount": dict.fromkeys(known, 0),
    }
