"""The page of one pipeline: its layers, its history, its last runs, and its quarantine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.model.columns import BATCH_ID
from include.medallion.model.log_range import lsn_text
from include.medallion.model.window import Mode
from include.medallion.page.overview import share
from include.medallion.page.snapshot import Snapshot

MAX_POINTS, MAX_RUNS, MAX_EVENTS = 1_000, 25, 100
Row = Mapping[str, Any]


def details(snapshot: Snapshot, pipeline: Pipeline) -> dict[str, Any]:
    """Return what the page of a pipeline shows, as plain values."""
    rows = snapshot.runs.filter(pc.field("pipeline") == pipeline.name).to_pylist()
    reconciles = [row for row in rows if row["kind"] == Mode.RECONCILE]
    runs = [row for row in rows if row["kind"] != Mode.RECONCILE]
    looked_up = [sum(row[name] or 0 for row in runs) for name in ("cached", "keys")]
    return {
        "name": pipeline.name,
        "dag_id": pipeline.dag_id,
        "layers": [*_layers(pipeline, runs, reconciles)],
        "points": _points(runs[-MAX_POINTS:]),
        "statuses": _statuses(runs),
        "cache_hit_rate": share(*looked_up),
        "timeline": [*_timeline(reversed(rows))][:MAX_EVENTS],
        "runs": [_accounting(row) for row in reversed(runs[-MAX_RUNS:])],
        "quarantine": dict(sorted(snapshot.quarantined.get(pipeline.name, {}).items())),
    }


def _layers(pipeline: Pipeline, runs: Sequence[Row], reconciles: Sequence[Row]) -> Iterable[dict[str, Any]]:
    """Yield each layer with what the last run did to it, its rows as the last reconcile counted them, its position."""
    last, compared = (rows[-1] if rows else None for rows in (runs, reconciles))
    full = [row for row in runs if Mode(row["kind"]).advances_watermark]
    position = _position(full[-1]) if full else None
    counted, applied = (_sinks(row) for row in (compared, last))
    read = last["read"] if last else None
    source = f"{pipeline.source.schema_}.{pipeline.source.table}"
    yield _layer("Bronze", source, f"{read:,} read" if last else "", compared["read"] if compared else None, position)
    staged = read - last["quarantined"] - last["unchanged"] if last else None
    yield _layer("Staging", f"batch {last[BATCH_ID]}" if last else "", f"{staged:,} staged" if last else "", None, None)
    names = {"silver": pipeline.silver and pipeline.silver.table, "gold": pipeline.gold and pipeline.gold.table}
    for sink in pipeline.sink_steps:
        counts = counted.get(sink, {})
        yield _layer(
            sink.capitalize(), names.get(sink) or sink, _outcome(applied.get(sink)), counts.get("live"), position
        )


def _layer(name: str, table: str, last: str, rows: int | None, position: str | None) -> dict[str, Any]:
    return {"name": name, "table": table, "last": last, "rows": rows, "position": position}


def _position(row: Row) -> str:
    """Return what a layer holds: all transactions below an id, and with `read: log` the log up to a position."""
    log_position = row.get("log_position")
    return f"{row['upto']:,}" + (f", log {lsn_text(log_position)}" if log_position else "")


def _sinks(row: Row | None) -> dict[str, dict[str, Any]]:
    return json.loads(row["sinks"] or "{}") if row else {}


def _outcome(applied: Mapping[str, Any] | None) -> str:
    if not applied:
        return ""
    if applied["replayed"]:
        return "held the batch already"
    return ", ".join(f"{count:,} {name}" for name, count in _outcomes(applied).items())


def _outcomes(applied: Mapping[str, Any]) -> dict[str, int]:
    """Return what became of the rows in a sink; deleted and withdrawn ones only if there are any."""
    rare = {name: count for name in ("deleted", "withdrawn") if (count := applied.get(name))}
    return {name: applied[name] for name in ("inserted", "updated")} | rare | {"superseded": applied["superseded"]}


def _points(runs: Sequence[Row]) -> dict[str, list[float]]:
    """Return what the plots show: one value per run, by the time at which it ended (Unix seconds)."""
    return {
        "time": [_seconds(row["ended_at"]) for row in runs],
        "rows": [row["read"] for row in runs],
        "duration": [round((row["ended_at"] - row["started_at"]).total_seconds(), 1) for row in runs],
        "lag": [row["lag"] or 0 for row in runs],
        "spend": [round(row["spend_usd"] or 0.0, 4) for row in runs],
    }


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 1)


def _statuses(runs: Sequence[Row]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in runs[-MAX_POINTS:]:
        counts.update(json.loads(row["statuses"] or "{}"))
    return dict(counts.most_common())


def _timeline(rows: Iterable[Row]) -> Iterable[dict[str, Any]]:
    """Yield schema changes, reconciles, repairs, full refreshes, reloads and replays, in the order of the rows."""
    for row in rows:
        event = {"time": _seconds(row["ended_at"]), "run_id": row["run_id"]}
        reconcile = row["kind"] == Mode.RECONCILE
        for change in json.loads(row["changes"] or "[]"):
            yield event | {"kind": "repair" if reconcile else "schema change", "text": change}
        if reconcile:
            yield event | {"kind": "reconcile", "text": _compared(row)}
        elif row["kind"] not in {Mode.WINDOW, Mode.LOOKUPS}:
            yield event | {"kind": _KINDS.get(row["kind"], row["kind"]), "text": f"{row['read']:,} rows read"}


_KINDS = {Mode.REFRESH: "full refresh", Mode.TRIAL: "trial", Mode.QUARANTINE: "replay of the quarantine"}


def _compared(row: Row) -> str:
    sinks = (f"{name}: {counts['live']:,} live, {_differences(counts)}" for name, counts in _sinks(row).items())
    return "; ".join((f"source: {row['read']:,} rows", *sinks))


def _differences(counts: Mapping[str, Any]) -> str:
    found = {name: counts[name] for name in ("deleted", "missing", "older", "repeated")}
    found["different"] = sum(counts["different"].values())
    return ", ".join(f"{count:,} {name}" for name, count in found.items() if count) or "no difference"


def _accounting(row: Row) -> dict[str, Any]:
    """Return the row accounting of a run: for each sink, every row that was read."""
    same = {name: row[name] for name in ("run_id", "kind", "read", "quarantined", "unchanged", "keys", "calls")}
    sinks = {name: _outcomes(applied) for name, applied in _sinks(row).items()}
    cost = round(row["spend_usd"] or 0.0, 2)
    return same | {"batch": str(row[BATCH_ID]), "time": _seconds(row["ended_at"]), "sinks": sinks, "spend": cost}
