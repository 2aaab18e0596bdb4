"""
Small Delta tables that tasks share, updated with optimistic concurrency.

An update reads all rows, decides, and replaces them in one conditional commit.
If two tasks update a table at the same time, one commit is rejected, and that
task decides again on the rows that the other one wrote. No lock is needed, on
any number of machines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake

T = TypeVar("T")


def update(lake: Lake, name: str, schema: pa.Schema, decide: Callable[[pa.Table], tuple[pa.Table, T]]) -> T:
    """
    Replace the rows of a shared table with those that `decide` returns.

    Args:
        name: the table; it is created if it does not exist.
        schema: its columns.
        decide: receives the current rows and returns the new ones with a result. It may be called several times, so
            it must not have side effects.

    Returns:
        The result of the call of `decide` whose rows were committed. Nothing is committed if the rows are unchanged.

    Raises:
        CommitFailedError: every attempt conflicted with another writer.
    """
    return delta.retry_on_conflict(lambda: _attempt(lake, name, schema, decide))


def _attempt(lake: Lake, name: str, schema: pa.Schema, decide: Callable[[pa.Table], tuple[pa.Table, T]]) -> T:
    table = delta.open_or_create(lake, name, schema, statistics=[])
    before = delta.dataset(lake, name, table).to_table().cast(schema)
    after, result = decide(before)
    if not after.equals(before):
        # after a conflict, `decide` must see the other writer's rows: delta-rs must not retry by itself
        commit = CommitProperties(max_commit_retries=0)
        write_deltalake(table, after, mode="overwrite", commit_properties=commit)
    return result
