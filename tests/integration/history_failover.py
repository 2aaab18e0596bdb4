"""Standbys of a history's source: taken, perhaps with a copy of its replication slot, and left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from include.sandbox import postgres as postgres_server
from tests.integration.one_cluster import Cluster
from tests.integration.servers import Server, standby

FOLLOWS = {"hot_standby_feedback": "on", "sync_replication_slots": "off"}
PHYSICAL = "history_standby"


def server_of(cluster: Cluster) -> Server:
    """Return a cluster as a server that can have standbys."""
    account = postgres_server._account()
    return Server(cluster.state, postgres_server._place(cluster.state, account), account, cluster.name, cluster.server)


@contextmanager
def left_behind(primary: Server, slot: str, *, synchronised: bool) -> Iterator[tuple[Server, bool]]:
    """
    Lend a standby that has all so far, and gets nothing more; it is deleted in the end.

    Args:
        slot: a logical one, which is copied, if it is there, the standby can decode from it, and `synchronised`.

    Returns:
        The standby, and whether it has a copy of the slot.
    """
    found = f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT temporary"
    copied = synchronised and bool(primary.sql(found))
    with standby(primary, PHYSICAL if copied else None, **FOLLOWS) as replica:
        replica.follow(primary)
        if copied:
            replica.sql("SELECT pg_sync_replication_slots()")
            copied = bool(replica.sql(found))
        replica.cut_off()
        if primary.sql(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{PHYSICAL}'"):
            primary.wait(f"NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{PHYSICAL}' AND active)")
            primary.sql(f"SELECT pg_drop_replication_slot('{PHYSICAL}')")
        yield replica, copied
    shutil.rmtree(replica.data, ignore_errors=True)
