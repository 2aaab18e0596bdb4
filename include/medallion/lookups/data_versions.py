"""
Versions of data that cost nothing to ask, and since when each is in use.

    lookup_data_versions(provider, version, since)

Answers of such data do not expire. When the data change (a package is installed, a table gets rows), keys without a
result are looked up again by the next refresh: those whose answers are older than the version.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.lake import shared_table
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import TIMESTAMP_UTC

TABLE = "lookup_data_versions"
SCHEMA = pa.schema([("provider", pa.string()), ("version", pa.string()), ("since", TIMESTAMP_UTC)])


def in_use_since(lake: Lake, provider: str, version: str, now: datetime) -> datetime:
    """
    Return since when a refresh has met this version of a provider's data; record `now` if it is another one.

    Raises:
        CommitFailedError: every attempt to update the table conflicted with another task.
    """

    def decide(versions: pa.Table) -> tuple[pa.Table, datetime]:
        of_provider = pc.equal(versions["provider"], provider)
        known = versions.filter(pc.and_(of_provider, pc.equal(versions["version"], version)))
        if len(known):
            since: datetime = known["since"][0].as_py()
            return versions, since
        new = pa.Table.from_pylist([{"provider": provider, "version": version, "since": now}], SCHEMA)
        return pa.concat_tables([versions.filter(pc.invert(of_provider)), new]), now

    return shared_table.update(lake, TABLE, SCHEMA, decide)
