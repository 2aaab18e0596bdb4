"""Restore sinks to an earlier state: Gold by Delta RESTORE, Silver's table alone, without its ledger."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from threading import Event

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from .cluster import Cluster

MOST_VERSIONS = 8


def restore_again_and_again(cluster: Cluster, ended: Event) -> None:
    """Restore one sink or the other; a restore that conflicts with a writer is given up."""
    _attempt(cluster, keep_silver)
    while not ended.wait(random.uniform(2, 5)):
        if random.random() < 0.5:
            _attempt(cluster, restore_gold)
        else:
            _attempt(cluster, restore_silver)
            _attempt(cluster, keep_silver)


def restore_gold(cluster: Cluster) -> None:
    """Put Gold back by a few versions, its columns included."""
    table = DeltaTable(cluster.lake.table("chaos"), storage_options=dict(cluster.lake.options))
    if table.version() < 2:
        return
    table.restore(random.randrange(max(1, table.version() - MOST_VERSIONS), table.version()))
    cluster.restores["gold"] += 1


def keep_silver(cluster: Cluster) -> None:
    """Copy Silver's table."""
    _run(cluster, "CREATE OR REPLACE TABLE CHAOS_KEPT AS SELECT * FROM CHAOS")


def restore_silver(cluster: Cluster) -> None:
    """Put Silver's table back to the copy, its columns included; the ledger stays."""
    _run(cluster, "CREATE OR REPLACE TABLE CHAOS AS SELECT * FROM CHAOS_KEPT")
    cluster.restores["silver"] += 1


def _attempt(cluster: Cluster, what: Callable[[Cluster], None]) -> None:
    from snowflake.connector.errors import Error as SnowflakeError

    try:
        what(cluster)
    except (DeltaError, SnowflakeError, OSError, ValueError) as e:
        print(f"{what.__name__} was given up: {type(e).__name__}")


def _run(cluster: Cluster, statement: str) -> None:
    with closing(cluster.silver.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
