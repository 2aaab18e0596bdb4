"""A table whose runs are repeated: how it is filled, and what it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .deployment import Deployment

NAME = "replays"
DDL = """
CREATE TABLE IF NOT EXISTS replays (
    id bigint PRIMARY KEY,
    n int NOT NULL,
    postcode varchar(10),
    amount numeric(12, 2),
    at timestamptz DEFAULT clock_timestamp()
)
"""
POSTCODES = ("02108", "30303", "48226", "55401", "63101", "70112", "80202", "85004", "89101", "97204", "98101", "99501")


def put(deployment: Deployment, n: int, *ids: int) -> None:
    """Give rows their n-th version; each row keeps its postcode."""
    places = POSTCODES * (1 + max(ids) // len(POSTCODES))
    statement = """INSERT INTO replays (id, n, postcode, amount) VALUES (%s, %s, %s, %s) ON CONFLICT (id)
                   DO UPDATE SET n = excluded.n, amount = excluded.amount, at = clock_timestamp()"""
    for key in ids:
        deployment.sql(statement, key, n, places[key], f"{n}.{key:02}")


@dataclass(frozen=True)
class Snapshot:
    """What no replay may change."""

    silver: dict
    gold: dict
    version: int
    watermark: dict
    calls: Counter


def snapshot(deployment: Deployment) -> Snapshot:
    """Assert that source and sinks are equal by value and each look-up was paid for once; return the state."""
    source, silver, gold = deployment.bronze(NAME), deployment.silver(NAME), deployment.gold(NAME)
    assert silver == gold
    assert {i: {name: row[name] for name in source[i]} for i, row in gold.items()} == source
    assert {row["geocode_status"] for row in gold.values()} == {"OK"}
    mine = (call for call in deployment.google.calls if call.api == "geocoding" and call.postcode in POSTCODES)
    calls = Counter(call.postcode for call in mine)
    wanted = {row["postcode"] for row in source.values()}
    assert calls == Counter(wanted), f"paid for {calls}, wanted {wanted}"
    return Snapshot(silver, gold, deployment.version(NAME), deployment.watermark(NAME), calls)
