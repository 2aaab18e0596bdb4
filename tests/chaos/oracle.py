"""The check: source, Silver and Gold row by row, Gold's whole history, every call, every leftover."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC

import psycopg
from deltalake import DeltaTable

from include.medallion.lake.object_store import filesystem, list_files
from include.sandbox.google import places

from . import ddl
from .cluster import Cluster

COLUMNS = ("id", "_version", "n", "payload", "postcode", "amount", "at")
PLACED = ("latitude", "longitude", "geocode_status")
Rows = dict[int, tuple]
Values = dict[int, dict[str, str | None]]


@dataclass
class Verdict:
    """What a check found; `details` names examples by id only."""

    rows: int = 0
    lost: int = 0
    doubled: int = 0
    regressed: int = 0
    misplaced: int = 0
    over: int = 0
    paid_twice: int = 0
    leftovers: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Count everything that must not happen."""
        return self.lost + self.doubled + self.regressed + self.misplaced + self.paid_twice

    def count(self, counter: str, ids: list, what: str) -> None:
        """Count faults of one kind."""
        setattr(self, counter, getattr(self, counter) + len(ids))
        if ids:
            self.details.append(f"{counter}: {len(ids)} {what}, e.g. {ids[:5]}")


class Oracle:
    """Compares the sinks with the source; looks at each version of Gold once."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.walked = cluster, -1
        self.newest: dict[int, int] = {}
        self.history = Verdict()

    def check(self) -> Verdict:
        """Compare everything; the workload must be paused, and a run must have found nothing new."""
        verdict = Verdict()
        source, quarantined = self._bronze(), self._quarantine()
        verdict.rows = len(source)
        silver, gold = self._silver(), self._gold()
        for name, rows in (("Silver", silver), ("Gold", gold)):
            found = _by_key(rows, name, verdict)
            _compare(source, found, quarantined, name, verdict)
            _check_places(rows, name, verdict)
        self._compare_other_columns(quarantined, verdict)
        lost = {key for key, row in source.items() if quarantined.get(key) == row[1]}
        _compare_sinks(silver, gold, lost if self.cluster.restores else set(), verdict)
        self._walk(quarantined, verdict)
        _count_calls(self.cluster, verdict)
        verdict.leftovers = leftovers(self.cluster)
        return verdict

    def _bronze(self) -> Rows:
        with psycopg.connect(self.cluster.dsn) as connection:
            query = "SELECT id, xmin::text::bigint, n, payload, postcode, amount, at FROM chaos"
            return {row[0]: _plain(row) for row in connection.execute(query)}

    def _silver(self) -> list[tuple]:
        names = ", ".join(f'"{c.upper()}"' for c in (*COLUMNS, *PLACED))
        with closing(self.cluster.silver.connect()) as connection, connection.cursor() as cursor:
            return [_plain(row) for row in cursor.execute(f"SELECT {names} FROM CHAOS").fetchall()]

    def _gold(self) -> list[tuple]:
        table = self._delta("chaos").to_pyarrow_table(columns=[*COLUMNS, *PLACED])
        return [_plain(row) for row in zip(*(table[c].to_pylist() for c in (*COLUMNS, *PLACED)), strict=True)]

    def _compare_other_columns(self, quarantined: dict[int, int], verdict: Verdict) -> None:
        """
        Compare the columns that DDL added, and which rows are marked as deleted.

        The workload deletes none: those are the rows whose newest version was quarantined.
        """
        with psycopg.connect(self.cluster.dsn) as connection:
            names = sorted(row[0] for row in connection.execute(ddl.COLUMNS))
            read = ", ".join(["id", "xmin::text::bigint", *names])
            source = {row[0]: row[1:] for row in connection.execute(f"SELECT {read} FROM chaos")}
        kept = {key: _texts(names, row[1:]) for key, row in source.items() if quarantined.get(key) != row[0]}
        for name, rows in (("Silver", self._silver_values()), ("Gold", self._gold_values())):
            deleted = {key for key, row in rows.items() if row["_deleted_at"] is not None}
            verdict.count("lost", sorted(deleted & kept.keys()), f"rows of {name} are marked as deleted")
            stale = rows.keys() - kept.keys() - deleted
            verdict.count("regressed", sorted(stale), f"rows of {name} are current, and quarantined in the source")
            other = [key for key, row in kept.items() if not row.items() <= rows.get(key, {}).items()]
            verdict.count("lost", other, f"rows of {name} have other values in {names}")

    def _silver_values(self) -> Values:
        with closing(self.cluster.silver.connect()) as connection, connection.cursor() as cursor:
            rows = cursor.execute("SELECT * FROM CHAOS").fetchall()
            names = [column[0].lower() for column in cursor.description]
        return {int(row[names.index("id")]): _texts(names, row) for row in rows}

    def _gold_values(self) -> Values:
        rows = self._delta("chaos").to_pyarrow_table().to_pylist()
        return {row["id"]: _texts(row, row.values()) for row in rows}

    def _quarantine(self) -> dict[int, int]:
        """Return the version in which each row was quarantined last."""
        if not DeltaTable.is_deltatable(self.cluster.lake.table("quarantine"), dict(self.cluster.lake.options)):
            return {}
        rows = self._delta("quarantine").to_pyarrow_table(columns=["key", "_version"]).to_pylist()
        return {int(json.loads(row["key"])[0]): row["_version"] for row in rows}

    def _delta(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(
            self.cluster.lake.table(name), version=version, storage_options=dict(self.cluster.lake.options)
        )

    def _walk(self, quarantined: dict[int, int], verdict: Verdict) -> None:
        """
        Look at each version of Gold: no key twice, none older than before, and none gone.

        Exceptions are a row whose newest version was quarantined: windows mark the last valid one as deleted, a
        refresh leaves it out; and what RESTORE did to all rows.
        """
        restored = self._restored()
        for version in range(self.walked + 1, self._delta("chaos").version() + 1):
            table = self._delta("chaos", version).to_pyarrow_table(columns=["id", "_version"])
            found = dict(zip(table["id"].to_pylist(), table["_version"].to_pylist(), strict=True))
            verdict.count("doubled", [version] * (table.num_rows - len(found)), "keys twice in a version of Gold")
            if version in restored:
                self.newest = {}
            gone = {k for k, v in self.newest.items() if k not in found and quarantined.get(k, -1) < v}
            older = [k for k, v in self.newest.items() if k in gone or found.get(k, v) < v]
            verdict.count("regressed", older, f"keys older or gone in version {version} of Gold")
            self.newest, self.walked = found, version

    def _restored(self) -> set[int]:
        """Return the versions of Gold that RESTORE made."""
        history = self._delta("chaos").history()
        return {commit["version"] for commit in history if commit.get("operation") == "RESTORE"}


def _plain(row: tuple) -> tuple:
    """Return a row with its time in UTC, and numbers that compare across drivers."""
    at = row[6].astimezone(UTC)
    return (*(int(v) for v in row[:3]), row[3], row[4], str(row[5]), at, *row[7:])


def _texts(names: Iterable[str], values: Iterable[object]) -> dict[str, str | None]:
    """Return values by column, as texts that are equal for equal values of different drivers."""
    return {name: None if value is None else str(value) for name, value in zip(names, values, strict=True)}


def _by_key(rows: list[tuple], name: str, verdict: Verdict) -> Rows:
    twice = [key for key, count in Counter(row[0] for row in rows).items() if count > 1]
    verdict.count("doubled", twice, f"keys twice in {name}")
    return {row[0]: row[:7] for row in rows}


def _compare(source: Rows, found: Rows, quarantined: dict[int, int], name: str, verdict: Verdict) -> None:
    """Count rows that differ from the source and are not quarantined in their newest version, and unknown ones."""
    other = [k for k, row in source.items() if found.get(k) != row and quarantined.get(k) != row[1]]
    verdict.count("lost", other, f"rows of the source are missing, older or different in {name}")
    verdict.count("doubled", [k for k in found if k not in source], f"rows of {name} are not in the source")


def _compare_sinks(silver: list[tuple], gold: list[tuple], gone: set[int], verdict: Verdict) -> None:
    """
    Count rows that differ between the sinks, by column.

    Args:
        silver: rows.
        gold: rows.
        gone: keys that are not compared. A row whose newest version is quarantined is marked as deleted with its last
            valid values. Where a sink was restored to before these, they are lost: the source does not have them.
        verdict: where the faults are counted.
    """
    here, there = ({row[0]: row for row in rows if row[0] not in gone} for rows in (silver, gold))
    verdict.count("lost", sorted(here.keys() ^ there.keys()), "rows are in one sink only")
    for place, column in enumerate((*COLUMNS, *PLACED)):
        other = [key for key in here.keys() & there.keys() if here[key][place] != there[key][place]]
        verdict.count("lost", sorted(other), f"rows have another {column} in Silver than in Gold")


def _check_places(rows: list[tuple], name: str, verdict: Verdict) -> None:
    """Count rows whose coordinates are not those of their postcode."""
    truth = {postcode: _truth(postcode) for postcode in {row[4] for row in rows}}
    verdict.count(
        "misplaced", [r[0] for r in rows if (*r[7:],) != truth[r[4]]], f"rows of {name} have other coordinates"
    )


def _truth(postcode: str | None) -> tuple:
    if postcode is None:
        return None, None, "NO_POSTCODE"
    place = places.find("US", postcode)
    return (place.latitude, place.longitude, "OK") if place else (None, None, "ZERO_RESULTS")


def _count_calls(cluster: Cluster, verdict: Verdict) -> None:
    """Count calls beyond one per key; and among them those for answers that were already staged."""
    calls = cluster.google.calls
    first: dict[tuple, float] = {}
    for at, key in _staged(cluster):
        first.setdefault(key, at)
    verdict.over = len(calls) - len({(c.country, c.postcode) for c in calls})
    again = [c.postcode for c in calls if c.at > first.get((c.country, c.postcode), float("inf"))]
    verdict.count("paid_twice", again, "calls for answers that were staged")


def _staged(cluster: Cluster) -> Iterator[tuple[float, tuple]]:
    for line in (cluster.state / "chaos" / "staged_answers.jsonl").read_text().splitlines():
        entry = json.loads(line)
        yield from ((entry["at"], tuple(key)) for key in entry["keys"])


def leftovers(cluster: Cluster) -> dict[str, int]:
    """Count what killed tasks left behind, by kind."""
    with closing(cluster.silver.connect()) as connection, connection.cursor() as cursor:
        tables = cursor.execute("SHOW TERSE TABLES LIKE '_MEDALLION_CHAOS_%'").fetchall()
    found = {
        "staging tables": len(tables),
        "look-ups not merged": len(list_files(cluster.lake, "_lookups")),
        "data files of no version": _orphans(cluster, "chaos"),
        "temporary folders": len([p for p in (cluster.state / "tmp").iterdir() if p.name.startswith("tmp")]),
    }
    return {what: count for what, count in found.items() if count}


def _orphans(cluster: Cluster, name: str) -> int:
    """Count Parquet files of a Delta table that no version ever named: what VACUUM deletes."""
    there = {key.rpartition("/")[2] for key in list_files(cluster.lake, name) if "_delta_log" not in key}
    named, files = set(), filesystem(cluster.lake)
    table = DeltaTable(cluster.lake.table(name), storage_options=dict(cluster.lake.options))
    for version in range(table.version() + 1):
        with files.open_input_stream(cluster.lake.path(f"{name}/_delta_log/{version:020d}.json")) as log:
            actions = (json.loads(line) for line in log.read().decode().splitlines())
            named |= {a["add"]["path"].rpartition("/")[2] for a in actions if "add" in a}
    return len(there - named)
