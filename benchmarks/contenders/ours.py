"""The core in one process as a command runs it, source to Gold, with enrichment; the time of each stage."""

from __future__ import annotations

if __name__ == "__main__":
    from include.medallion.ops.shell.quick_start import begin_imports

    begin_imports()

import json
import sys

from benchmarks.contenders.clock import Clock
from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.ops.shell.pandas_import import spare_pandas
from include.medallion.ops.shell.quick_start import end_imports
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.commit import commit
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.log.advance import advance_log
from include.medallion.steps.open_window import open_window

end_imports()
clock = Clock()


def main(task: dict) -> dict:
    """Bring one batch to Gold, as a pipeline without Silver does."""
    pipeline = Pipeline.model_validate({name: value for name, value in task["pipeline"].items() if name != "silver"})
    spare_pandas(pipeline)
    connections = connection_settings.Connections(task["source"], None, open_lake(task["lake"], task["options"]), {})
    with clock.timed("open_window"):
        window = open_window(pipeline, connections)
    with clock.timed("extract"):
        parts = extract(pipeline, connections, window)
    with clock.timed("enrich"):
        enriched = [enrich(pipeline, connections, window, part.number) for part in parts]
    if parts:
        with clock.timed("write_gold"):
            apply_batch(pipeline, connections, window, "gold")
        with clock.timed("commit"):
            commit(pipeline, connections.lake, window)
    if parts and window.log:
        with clock.timed("advance"):
            advance_log(pipeline, connections, window)
    return clock.account(sum(part.lookups.keys - part.lookups.cached for part in enriched))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
