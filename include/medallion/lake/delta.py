"""
Delta tables: open, create, encode, and commit with optimistic concurrency.

Statistics are written for chosen columns only. The Delta log holds the smallest
and largest value of each column with statistics, and personal data must not
appear in a log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyarrow import fs

from include.medallion.errors import ContractBroken
from include.medallion.lake.fragments import with_safe_filters
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.lake.parquet import MAX_GROUP_ROWS

if TYPE_CHECKING:
    import pyarrow.dataset as ds

log = logging.getLogger(__name__)
TARGET_FILE_BYTES = 64 << 20
COMMITS_PER_CHECKPOINT = 20
"""
A table is opened several times a run, and each commit since its checkpoint is a file to read then: 50 of them take 45
ms, 20 take 20 ms, and a checkpoint 30 ms. By default delta-rs writes one every 100 commits.
"""
CHECKPOINT_INTERVAL = MappingProxyType({"delta.checkpointInterval": str(COMMITS_PER_CHECKPOINT)})
MAX_ATTEMPTS = 10
CONFLICT_MESSAGE = "Delta commit conflicts with a concurrent writer's (attempt %s of %s): retrying"
"""Logged once per retry; the metric `conflicts` counts these records."""
T = TypeVar("T")


def open_table(lake: Lake, name: str) -> DeltaTable | None:
    """
    Open a Delta table at its newest version.

    Args:
        name: the table's path below the lake's root.

    Returns:
        The table, or None if it does not exist yet.
    """
    try:
        return DeltaTable(lake.table(name), storage_options=dict(lake.options))
    except TableNotFoundError:
        return None


def at_version(lake: Lake, name: str, version: int) -> DeltaTable:
    """
    Open a Delta table at an older version.

    Raises:
        DeltaError: the log does not have that version any more.
    """
    return DeltaTable(lake.table(name), version=version, storage_options=dict(lake.options))


def require_table(lake: Lake, name: str) -> DeltaTable:
    """
    Open a Delta table that must be there.

    Raises:
        ContractBroken: another process deleted it meanwhile.
    """
    table = open_table(lake, name)
    if table is None:
        raise ContractBroken(f"the Delta table {name} was deleted while it was in use")
    return table


def open_or_create(
    lake: Lake,
    name: str,
    schema: pa.Schema,
    *,
    statistics: Sequence[str],
    partition_by: Sequence[str] = (),
    description: str | None = None,
    properties: Mapping[str, str] = MappingProxyType({}),
) -> DeltaTable:
    """
    Open a Delta table; create it if it does not exist.

    Args:
        name: the table's path below the lake's root.
        schema: columns of a table that is created.
        statistics: columns whose smallest and largest values the log may hold.
        partition_by: partition columns of a table that is created.
        description: of a table that is created.
        properties: of a table that is created, besides those of all tables.

    Raises:
        CommitFailedError: another writer created the table at the same time.
    """
    indexed = ",".join(map(_stats_name, statistics)) or _NO_COLUMN
    return open_table(lake, name) or DeltaTable.create(
        lake.table(name),
        schema,
        mode="ignore",
        name=name,
        description=description,
        partition_by=list(partition_by),
        storage_options=dict(lake.options),
        configuration={_STATISTICS: indexed, **_TARGET_SIZE, **CHECKPOINT_INTERVAL, **properties},
        raise_if_key_not_exists=False,
        # with retries, delta-rs would overwrite the columns of a table that was created at the same time
        commit_properties=CommitProperties(max_commit_retries=0),
    )


def writer_properties(table: DeltaTable) -> WriterProperties:
    """
    Return how delta-rs encodes a table's files.

    Files are compressed, and have Parquet statistics only for the columns that have them in the table's log.
    """
    named = _NAMES.findall(table.metadata().configuration.get(_STATISTICS, ""))
    bounds = {quoted or bare: ColumnProperties(statistics_enabled="CHUNK") for quoted, bare in named}
    none = ColumnProperties(statistics_enabled="NONE")
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=MAX_GROUP_ROWS,  # delta-rs's default of a million makes point reads slow
        default_column_properties=none,
        column_properties=bounds,
    )


def dataset(lake: Lake, name: str, table: DeltaTable) -> ds.Dataset:
    """
    Open the rows of a table for reading, through Arrow's native filesystem.

    The default of deltalake is a filesystem in Python. If a thread still holds it when the process exits, the process
    may abort ("terminate called without an active exception", exit code -6).
    """
    return with_safe_filters(
        table.to_pyarrow_dataset(filesystem=fs.SubTreeFileSystem(lake.path(name), filesystem(lake)))
    )


def retry_on_conflict(attempt: Callable[[], T]) -> T:
    """
    Run `attempt`; run it again from the start when its commit conflicts with a concurrent one.

    Args:
        attempt: opens a table, decides what to write, and commits.

    Returns:
        What the successful attempt returns.

    Raises:
        CommitFailedError: all of `MAX_ATTEMPTS` attempts conflicted; Airflow then retries the task.
    """
    import tenacity  # noqa: PLC0415 (imports asyncio and tornado, and a run that finds nothing new commits nothing)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(CommitFailedError),
        stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(initial=0.1, max=5.0),  # seconds
        before_sleep=lambda state: log.warning(CONFLICT_MESSAGE, state.attempt_number, MAX_ATTEMPTS),
        reraise=True,
    )
    return retrying(attempt)


_STATISTICS = "delta.dataSkippingStatsColumns"
_TARGET_SIZE = MappingProxyType({"delta.targetFileSize": str(TARGET_FILE_BYTES)})
_NO_COLUMN = "_none"
_NAMES = re.compile(r"`([^`]+)`|([^`,]+)")


def _stats_name(column: str) -> str:
    return column if column.isidentifier() else f"`{column}`"
