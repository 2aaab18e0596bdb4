"""Options of a manual run."""

from __future__ import annotations

from collections.abc import Mapping

from include.medallion.errors import SettingError
from include.medallion.model.window import Mode

RUN_OPTIONS = {
    "full_refresh": Mode.REFRESH,
    "max_rows": Mode.TRIAL,
    "refresh_lookups": Mode.LOOKUPS,
    "replay_quarantine": Mode.QUARANTINE,
}


def parse_run_options(params: Mapping[str, object]) -> dict:
    """
    Return what a manual trigger asks for, as `begin` takes it.

    Raises:
        SettingError: two wishes that exclude each other.
    """
    wished = [name for name in RUN_OPTIONS if params.get(name)]
    if len(wished) > 1:
        raise SettingError(f"{' and '.join(wished)} exclude each other: trigger one run for each")
    return {"mode": RUN_OPTIONS[wished[0]] if wished else Mode.WINDOW, "max_rows": params.get("max_rows")}
