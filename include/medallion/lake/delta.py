"""
What every Delta table here has in common: how it is opened, made and committed to.

Statistics are written for chosen columns only: the log holds the smallest and
largest value of each column that has them, and a log is no place for a
person's data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import stamina
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyarrow import fs

from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.lake.parquet import MAX_GROUP_ROWS

if TYPE_CHECKING:
    import pyarrow.dataset as ds

TARGET_FILE_BYTES = 64 << 20
MAX_ATTEMPTS = 10
T = TypeVar("T")


def open_table(lake: Lake, name: str) -> DeltaTable | None:
    """Open a Delta table at its newest version; None if there is none yet."""
    try:
        return DeltaTable(lake.table(name), storage_options=dict(lake.options))
    except TableNotFoundError:
        return None


def open_or_create(
    lake: Lake, name: str, schema: pa.Schema, *, statistics: Sequence[str], partition_by: Sequence[str] = ()
) -> DeltaTable:
    """
    Open a Delta table, made with this schema if there is none.

    Args:
        statistics: columns whose smallest and largest values the log may hold.

    Raises:
        CommitFailedError: another writer made it meanwhile.
    """
    return open_table(lake, name) or DeltaTable.create(
        lake.table(name),
        schema,
        mode="ignore",
        name=name,
        partition_by=list(partition_by),
        storage_options=dict(lake.options),
        configuration={
            _STATISTICS: ",".join(map(_stats_name, statistics)) or _NO_COLUMN,
            "delta.targetFileSize": str(TARGET_FILE_BYTES),
        },
        # by its own retries delta-rs would commit these columns over those of a table that was made meanwhile
        commit_properties=CommitProperties(max_commit_retries=0),
    )


def writer_properties(table: DeltaTable) -> WriterProperties:
    """Return how delta-rs is to encode a table's files: small, with bounds of no column but those in its log."""
    named = _NAMES.findall(table.metadata().configuration.get(_STATISTICS, ""))
    bounds = {quoted or bare: ColumnProperties(statistics_enabled="CHUNK") for quoted, bare in named}
    none = ColumnProperties(statistics_enabled="NONE")
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=MAX_GROUP_ROWS,  # of delta-rs's own million whoever looks for a row decodes all
        default_column_properties=none,
        column_properties=bounds,
    )


def dataset(lake: Lake, name: str, table: DeltaTable) -> ds.Dataset:
    """
    Open the rows of a table that is at hand, through Arrow's own filesystem.

    By default deltalake lends one that is written in Python; a thread that still holds it when the process ends may
    abort the process ("terminate called without an active exception", exit code -6).
    """
    return table.to_pyarrow_dataset(filesystem=fs.SubTreeFileSystem(lake.path(name), filesystem(lake)))


def retry_on_conflict(attempt: Callable[[], T]) -> T:
    """
    Run an attempt that opens a table, decides and commits; again from its start when a commit loses a race.

    Raises:
        CommitFailedError: ten attempts lost; the task's own retries go on from there.
    """
    for trial in stamina.retry_context(
        on=CommitFailedError, attempts=MAX_ATTEMPTS, wait_initial=0.1, wait_max=5.0, timeout=None
    ):
        with trial:
            return attempt()
    raise AssertionError("unreachable: the retries end by a return or a raise")


_STATISTICS = "delta.dataSkippingStatsColumns"
_NO_COLUMN = "_none"
_NAMES = re.compile(r"`([^`]+)`|([^`,]+)")


def _stats_name(column: str) -> str:
    return column if column.isidentifier() else f"`{column}`"
