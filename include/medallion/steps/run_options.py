"""Options of a manual run: what the trigger form and the shell offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.medallion.errors import SettingError
from include.medallion.model.window import Mode

RUN_OPTIONS = {
    "full_refresh": Mode.REFRESH,
    "max_rows": Mode.TRIAL,
    "refresh_lookups": Mode.LOOKUPS,
    "replay_quarantine": Mode.QUARANTINE,
    "reload_where": Mode.RELOAD,
    "reload_keys": Mode.RELOAD,
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    What a run reads.

    Args:
        max_rows: at most so many rows, in a trial.
        approve_schema_change: apply a schema change that is frozen, refused, or reads many rows again: any, or the one
            with this description.
        reload_where: SQL condition that the rows of a reload meet.
        reload_keys: their keys, in place of a condition.
    """

    mode: Mode = Mode.WINDOW
    max_rows: int | None = None
    approve_schema_change: bool | str = False
    reload_where: str | None = None
    reload_keys: str | None = None


def parse_run_options(params: Mapping[str, object]) -> RunOptions:
    """
    Return the options of a manual trigger.

    Args:
        params: of the trigger form; absent and empty ones do not count.

    Raises:
        SettingError: two options are mutually exclusive.
    """
    chosen = [name for name in RUN_OPTIONS if params.get(name)]
    if len(chosen) > 1:
        raise SettingError(f"{' and '.join(chosen)} are mutually exclusive: trigger one run for each")
    approval, rows = params.get("approve_schema_change"), params.get("max_rows")
    approved = approval if isinstance(approval, str) else bool(approval)
    mode = RUN_OPTIONS[chosen[0]] if chosen else Mode.WINDOW
    where, keys = (str(params[name]) if params.get(name) else None for name in ("reload_where", "reload_keys"))
    return RunOptions(mode, int(str(rows)) if rows else None, approved, where, keys)


def parse_reload(where: str | None, keys: str | None) -> RunOptions:
    """
    Return the options of a reload.

    Raises:
        SettingError: neither a condition nor keys are given, or both.
    """
    if bool(where) == bool(keys):
        raise SettingError("a reload takes either --where with a condition or --keys with values of the key")
    return RunOptions(Mode.RELOAD, reload_where=where, reload_keys=keys)
