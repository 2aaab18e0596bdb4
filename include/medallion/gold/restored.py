"""
Whether another program has put older rows into the Gold table since the newest batch, and what the table holds then.

`RESTORE` and overwrites replace rows but leave the transaction lines, which would claim batches whose rows are gone.
Every commit says which operation made it, so the log is read backwards, from its end to the commit of the newest batch:
one small object where nothing else wrote to the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable

from include.medallion.model.window import Mode

_FIRST_COMMITS = 4
"""Commits that are read first; more if the newest batch is not among them."""
_REPLACES = frozenset(
    {
        "CLONE",
        "CREATE OR REPLACE TABLE",
        "CREATE OR REPLACE TABLE AS SELECT",
        "REPLACE TABLE",
        "REPLACE TABLE AS SELECT",
    }
)


@dataclass(frozen=True, slots=True)
class Restored:
    """
    The table does not hold what its transaction lines say.

    Args:
        version: of the table whose rows it holds again; None if another program replaced its rows.
    """

    version: int | None


def find_restored(table: DeltaTable) -> Restored | None:
    """
    Return what the table was restored to since its newest batch; None if it was not.

    The table is brought up to date if it was: deltalake counts versions of its history back from the opened one.
    """
    if not _scan(table):
        return None
    table.update_incremental()
    return _scan(table)


def _scan(table: DeltaTable) -> Restored | None:
    found: Restored | None = None
    at = table.version()
    for commit in _commits(table):
        if commit["version"] > at:
            continue  # undone by a restore
        if _is_batch(commit):
            return Restored(commit["version"]) if found else None
        if commit.get("operation") == "RESTORE":
            target = _target(commit)
            if target is None:
                return Restored(None)
            at, found = target, Restored(target)
        elif _replaces_rows(commit):
            return Restored(None)
    return found  # the log does not reach back to the batch: only what it shows is known


def _commits(table: DeltaTable) -> Iterator[Mapping[str, Any]]:
    """Yield what the log says of the table's commits, newest first."""
    limit, seen = _FIRST_COMMITS, 0
    while True:
        found = table.history(limit)
        yield from found[seen:]
        if len(found) < limit:
            return
        limit, seen = limit * 8, len(found)


def _is_batch(commit: Mapping[str, Any]) -> bool:
    mode = commit.get("medallion.mode")
    return "medallion.batch" in commit and mode in set(Mode) and Mode(mode).advances_watermark


def _target(commit: Mapping[str, Any]) -> int | None:
    """Return the version that a restore names; None if it names a time."""
    version = (commit.get("operationParameters") or {}).get("version")
    return int(version) if version is not None and str(version).isdigit() else None


def _replaces_rows(commit: Mapping[str, Any]) -> bool:
    mode = str((commit.get("operationParameters") or {}).get("mode", ""))
    ours = "medallion.batch" in commit
    operation = commit.get("operation")
    return not ours and (operation in _REPLACES or (operation == "WRITE" and mode.lower() == "overwrite"))
