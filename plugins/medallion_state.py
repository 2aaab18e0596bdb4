"""What runs of a pipeline hand on: values as JSON, and the sinks' positions in Airflow's state store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from airflow.sdk import Asset

from include.medallion.model.window import Mode, Position, Window
from include.medallion.steps.watermark import WATERMARK_KEY, corrected

T = TypeVar("T")
ASKED_KEY = "sinks_asked_at"
ASK_AFTER = timedelta(hours=1)
"""A sink that was restored is noticed by the next run with rows, and by a run without any after this time."""


def to_json(value: object) -> Any:
    """Return a dataclass as XCom and Airflow's state store hold it."""
    from include.medallion.staging.records.documents import adapter

    return adapter(cast("Any", type(value))).dump_python(value, mode="json")


def from_json(type_: type[T], value: Any) -> T:
    """Inverse of `to_json`."""
    from include.medallion.staging.records.documents import adapter

    return cast("T", adapter(cast("Any", type_)).validate_python(value))


def bronze(name: str) -> Asset:
    """Return the asset that keeps a pipeline's watermark."""
    return Asset(f"bronze_{name}")


def remembered(context: Any, name: str) -> dict[str, Position | None]:
    """Return the positions that Airflow remembers, by sink."""
    stored = context["asset_state_store"][bronze(name)].get(WATERMARK_KEY)
    return from_json(dict[str, Position | None], stored or {})


def remember(context: Any, name: str, positions: dict[str, Position | None]) -> None:
    """Remember the positions of a pipeline's sinks."""
    stored = {sink: to_json(position) if position else None for sink, position in positions.items()}
    context["asset_state_store"][bronze(name)].set(WATERMARK_KEY, stored)


def with_hint(context: Any, name: str, open_window: Callable[[dict[str, Position | None]], Window]) -> Window:
    """
    Open a window from the positions that Airflow remembers, if the sinks were asked for theirs within `ASK_AFTER`.

    If a sink turns out to hold less than is remembered, it is asked until a batch has moved its position.
    """
    store, known = context["asset_state_store"][bronze(name)], remembered(context, name)
    at = store.get(ASKED_KEY)
    if at and datetime.now(UTC) - datetime.fromisoformat(at) < ASK_AFTER:
        return open_window(known)
    window = open_window({})
    if window.mode is Mode.WINDOW:
        store.set(ASKED_KEY, datetime.now(UTC).isoformat())
        if window.after < min((p.upto if p else 0 for p in known.values()), default=0):
            remember(context, name, {})
    return window


def correct(context: Any, name: str, sink: str, position: Position | None) -> None:
    """Correct the position that Airflow remembers of one sink."""
    remember(context, name, corrected(remembered(context, name), sink, position))
