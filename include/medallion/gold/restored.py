"""
Whether another program has put older rows into the Gold table since the newest batch, and what the table holds then.

`RESTORE` and overwrites replace rows but leave the transaction lines, which would claim batches whose rows are gone.
Every commit says which operation made it, so the log is read backwards, from its end to the commit of the newest batch:
one small object where nothing else wrote to the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable

from include.medallion.lake.object_store import Lake, read_bytes
from include.medallion.model.window import Mode

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


def find_restored(lake: Lake, name: str, table: DeltaTable) -> Restored | None:
    """
    Return what the table was restored to since its newest batch; None if it was not. If so, it is brought up to date.

    Args:
        name: of the table, below the lake's root.
    """
    if not _scan(lake, name, table.version()):
        return None
    table.update_incremental()
    return _scan(lake, name, table.version())


def newest_lines(lake: Lake, name: str, table: DeltaTable) -> dict[str, int]:
    """Return the transaction lines of the commit that made an opened table's version, by application."""
    found = (action["txn"] for action in _actions(lake, name, table.version()) if "txn" in action)
    return {line["appId"]: line["version"] for line in found}


def _scan(lake: Lake, name: str, version: int) -> Restored | None:
    found: Restored | None = None
    at = version
    for commit in _commits(lake, name, version):
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


def _commits(lake: Lake, name: str, version: int) -> Iterator[Mapping[str, Any]]:
    """
    Yield what the log says of the table's commits, newest first, as far back as it reaches.

    deltalake's own `history` keeps all other threads of the process waiting while it reads.
    """
    for number in range(version, -1, -1):
        actions = _actions(lake, name, number)
        if not actions:
            return
        about = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        yield {**about, "version": number}


def _actions(lake: Lake, name: str, version: int) -> list[dict[str, dict[str, Any]]]:
    """Return the actions of a commit; none if the log does not reach back to it."""
    try:
        log = read_bytes(lake, f"{name}/_delta_log/{version:020d}.json")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in log.splitlines()]


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
