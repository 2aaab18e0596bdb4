"""The core in one process, source to Gold, with enrichment; stage by stage what it took."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.contenders.clock import Clock
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Position
from include.medallion.quarantine import table as quarantine_table
from include.medallion.steps import run

clock = Clock()


def main(task: dict) -> dict:
    """Bring one batch to Gold; the position that a DAG keeps in its watermark is kept in a file here."""
    pipeline = Pipeline.model_validate(task["pipeline"])
    connections = connection_settings.Connections(task["source"], None, open_lake(task["lake"], task["options"]), {})
    kept = Path(task["state"], "position.json")
    with clock.timed("open_window"):
        position = Position(**json.loads(kept.read_text())) if kept.exists() else None
        window = run.open_window(pipeline, connections, position)
    with clock.timed("extract"):
        parts = run.extract(pipeline, connections, window)
    answered = []
    with clock.timed("enrich"):
        answered = [run.enrich(pipeline, connections, window, part) for part in parts]
    if parts:
        with clock.timed("quarantine"):
            quarantine_table.record_rows(connections.lake, window, parts)
        with clock.timed("write_gold"):
            run.write_gold(pipeline, connections, window, answered)
        at = window.position
        kept.write_text(json.dumps({"source": at.source, "upto": at.upto, "batch_id": at.batch_id}))
    return clock.account(sum(a.keys - a.cached for a in answered))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
