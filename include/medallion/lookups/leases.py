"""
Leases on enrichment keys: the holder of a lease is the only task that calls the provider for that key.

    lookup_leases(cache, key, owner, until)

Parts of a run that share keys, and pipelines that share a cache, are coordinated here. A lease ends when its owner
releases it, or at `until` if the owner was killed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.lake import shared_table
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import TIMESTAMP_UTC
from include.medallion.model.keys import Key

TABLE = "lookup_leases"
SCHEMA = pa.schema([("cache", pa.string()), ("key", pa.string()), ("owner", pa.string()), ("until", TIMESTAMP_UTC)])
LEASE_DURATION = timedelta(minutes=5)


def acquire(lake: Lake, cache: str, keys: Collection[Key], owner: str, now: datetime) -> list[Key]:
    """
    Acquire leases on keys; renew those that the owner holds already.

    Args:
        cache: the cache table that the results go to; leases of different caches are independent.
        keys: distinct enrichment keys.
        owner: name of the task; a retry must use the same name to take over its leases.
        now: begin of the lease, which ends `LEASE_DURATION` later.

    Returns:
        The keys that the owner holds now. Another owner holds the others.

    Raises:
        CommitFailedError: every attempt to update the table conflicted with another task.
    """
    by_hash = {_hash_key(key): key for key in keys}

    def decide(leases: pa.Table) -> tuple[pa.Table, list[str]]:
        valid = leases.filter(pc.field("until") > pa.scalar(now, TIMESTAMP_UTC))
        own = pc.and_(pc.equal(valid["cache"], cache), pc.equal(valid["owner"], owner))
        others = valid.filter(pc.and_(pc.equal(valid["cache"], cache), pc.not_equal(valid["owner"], owner)))
        acquired = sorted(by_hash.keys() - set(others["key"].to_pylist()))
        rows = [{"cache": cache, "key": key, "owner": owner, "until": now + LEASE_DURATION} for key in acquired]
        return pa.concat_tables([valid.filter(pc.invert(own)), pa.Table.from_pylist(rows, SCHEMA)]), acquired

    acquired = set(shared_table.update(lake, TABLE, SCHEMA, decide))
    return [key for key_hash, key in by_hash.items() if key_hash in acquired]


def release(lake: Lake, owner: str) -> None:
    """
    Release all leases of an owner.

    Raises:
        CommitFailedError: every attempt to update the table conflicted with another task.
    """
    shared_table.update(lake, TABLE, SCHEMA, lambda leases: (leases.filter(pc.field("owner") != owner), None))


def _hash_key(key: Key) -> str:
    return sha256(json.dumps([None if part is None else str(part) for part in key]).encode()).hexdigest()
