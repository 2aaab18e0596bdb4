"""The overview: one line for each pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.model.window import Mode
from include.medallion.page.budget import monthly_budget
from include.medallion.page.snapshot import Snapshot

UNRESOLVED_DAYS = 30
_SUMS = ["read", "spend_usd", "resolved", "unresolved"]
_NOTHING = dict.fromkeys(_SUMS, 0)


@dataclass(frozen=True, slots=True)
class DagState:
    """What Airflow knows of a pipeline's runs, those without new rows and failed ones included."""

    last_success: datetime | None = None  # when the newest run that succeeded began
    last_state: str | None = None
    failures: int = 0  # in the last 24 hours


@dataclass(frozen=True, slots=True)
class Line:
    """
    One pipeline in the overview.

    Args:
        freshness: seconds since the newest successful run began: all older rows are in the sinks.
        unresolved: share of the keys looked up in `UNRESOLVED_DAYS` days that got no result.
        problem: what is wrong with the pipeline's file.
    """

    name: str
    dag_id: str
    source: str = ""
    sinks: str = ""
    freshness: float | None = None
    last_state: str | None = None
    failures: int = 0
    rows_today: int = 0
    spend: float = 0.0
    budget: float | None = None
    quarantined: int = 0
    unresolved: float | None = None
    problem: str = ""


def overview(
    snapshot: Snapshot,
    pipelines: Mapping[str, Pipeline | SettingError],
    states: Mapping[str, DagState],
    environ: Mapping[str, str],
    now: datetime,
) -> list[dict[str, Any]]:
    """
    Return a line for each pipeline whose DAG is in `states`, ordered by name.

    Args:
        snapshot: of the lake.
        pipelines: by name, or what is wrong with their file.
        states: by DAG id; a pipeline whose DAG the user may not see is not in it.
        environ: decides the default geocoder, and with it the price of calls.
        now: UTC.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (today, today.replace(day=1), now - timedelta(UNRESOLVED_DAYS))
    sums = [_sums(snapshot.runs, moment) for moment in since]
    lines = []
    for name, found in sorted(pipelines.items()):
        state = states.get(dag_id(name))
        if state is not None and isinstance(found, Pipeline):
            counts = [of_pipeline.get(name, _NOTHING) for of_pipeline in sums]
            quarantined = sum(snapshot.quarantined.get(name, {}).values())
            lines.append(_line(found, state, counts, quarantined, monthly_budget(found, environ, now), now))
        elif state is not None:
            lines.append(Line(name, dag_id(name), last_state=state.last_state, problem=str(found)))
    return [asdict(line) for line in lines]


def dag_id(name: str) -> str:
    """Return the DAG id of a pipeline."""
    return f"medallion_{name}"


def _line(
    pipeline: Pipeline,
    state: DagState,
    counts: Sequence[Mapping[str, Any]],
    quarantined: int,
    budget: float | None,
    now: datetime,
) -> Line:
    of_today, of_month, recent = counts
    return Line(
        pipeline.name,
        pipeline.dag_id,
        source=f"{pipeline.source.schema_}.{pipeline.source.table}",
        sinks=", ".join(pipeline.sink_steps),
        freshness=_age(state.last_success, now),
        last_state=state.last_state,
        failures=state.failures,
        rows_today=of_today["read"],
        spend=round(of_month["spend_usd"], 2),
        budget=budget,
        quarantined=quarantined,
        unresolved=share(recent["unresolved"], recent["resolved"] + recent["unresolved"]),
    )


def _sums(runs: pa.Table, since: datetime) -> dict[str, dict[str, Any]]:
    """Return the sums of the runs that ended since then, by pipeline."""
    recent = (pc.field("ended_at") >= pa.scalar(since.astimezone(UTC), pa.timestamp("us", "UTC"))) & (
        pc.field("kind") != str(Mode.RECONCILE)
    )
    grouped = runs.filter(recent).group_by("pipeline").aggregate([(name, "sum") for name in _SUMS])
    return {row["pipeline"]: {name: row[f"{name}_sum"] or 0 for name in _SUMS} for row in grouped.to_pylist()}


def _age(moment: datetime | None, now: datetime) -> float | None:
    return round((now - moment).total_seconds(), 1) if moment else None


def share(part: float, whole: float) -> float | None:
    """Return part / whole; None if there is nothing."""
    return round(part / whole, 4) if whole else None
