"""
Claims on keys: who is about to pay for an answer says so first, and nobody else asks meanwhile.

    lookup_claims(cache, key, owner, until)

Parts of a run that share keys, and pipelines that share a cache, meet here. A
claim ends when its owner is done, or at `until` if the owner was killed.
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

TABLE = "lookup_claims"
SCHEMA = pa.schema([("cache", pa.string()), ("key", pa.string()), ("owner", pa.string()), ("until", TIMESTAMP_UTC)])
LEASE_DURATION = timedelta(minutes=5)


def acquire(lake: Lake, cache: str, keys: Collection[Key], owner: str, now: datetime) -> list[Key]:
    """Claim keys, or renew the claim on them; return those that nobody else has claimed."""
    names = {_hash_key(key): key for key in keys}

    def decide(claims: pa.Table) -> tuple[pa.Table, list[Key]]:
        alive = claims.filter(pc.field("until") > pa.scalar(now, TIMESTAMP_UTC))
        mine = pc.and_(pc.equal(alive["cache"], cache), pc.equal(alive["owner"], owner))
        others = alive.filter(pc.and_(pc.equal(alive["cache"], cache), pc.not_equal(alive["owner"], owner)))
        taken = sorted(names.keys() - set(others["key"].to_pylist()))
        rows = [{"cache": cache, "key": name, "owner": owner, "until": now + LEASE_DURATION} for name in taken]
        return pa.concat_tables([alive.filter(pc.invert(mine)), pa.Table.from_pylist(rows, SCHEMA)]), taken

    taken = set(shared_table.update(lake, TABLE, SCHEMA, decide))
    return [key for name, key in names.items() if name in taken]


def release(lake: Lake, owner: str) -> None:
    """End all claims of an owner."""
    shared_table.update(lake, TABLE, SCHEMA, lambda claims: (claims.filter(pc.field("owner") != owner), None))


def _hash_key(key: Key) -> str:
    return sha256(json.dumps([None if part is None else str(part) for part in key]).encode()).hexdigest()
