"""
Small tables that tasks share: read, changed and written back whole, by one conditional commit.

Two tasks that change one at the same time: one commit is refused, and that task
decides anew on what the other wrote. So what is decided here is decided once,
on any number of machines, without a lock.
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
    Replace the rows of a table by what `decide` makes of them; return what else it says.

    `decide` may be called several times. Rows that stay equal are not written.
    """
    return delta.retry_on_conflict(lambda: _attempt(lake, name, schema, decide))


def _attempt(lake: Lake, name: str, schema: pa.Schema, decide: Callable[[pa.Table], tuple[pa.Table, T]]) -> T:
    table = delta.open_or_create(lake, name, schema, statistics=[])
    before = delta.dataset(lake, name, table).to_table().cast(schema)
    after, said = decide(before)
    if not after.equals(before):
        # a lost race must be decided anew, not retried as it was
        commit = CommitProperties(max_commit_retries=0)
        write_deltalake(table, after, mode="overwrite", commit_properties=commit)
    return said
