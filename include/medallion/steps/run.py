"""
One batch from source to sinks in one process: the steps of the DAG without Airflow.

For a shell and for benchmarks. The DAG calls the same functions, each in a task of its own.
"""

from __future__ import annotations

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.model.window import Window
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.commit import commit
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.log.advance import advance_log
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.summary.row_counts import RunSummary


def run(
    pipeline: Pipeline,
    connections: Connections,
    options: RunOptions = RunOptions(),  # noqa: B008 (immutable)
) -> RunSummary | None:
    """Bring one batch from source to sinks; return the run's summary, None if nothing is new."""
    window = open_window(pipeline, connections, options)
    return run_window(pipeline, connections, window)


def run_window(pipeline: Pipeline, connections: Connections, window: Window) -> RunSummary | None:
    """Bring the batch of an opened window from source to sinks."""
    parts = extract(pipeline, connections, window)
    if not parts:
        return None
    for part in parts if pipeline.enrich else ():
        enrich(pipeline, connections, window, part.number)
    for sink in pipeline.sink_steps:
        apply_batch(pipeline, connections, window, sink)
    summary = commit(pipeline, connections.lake, window)
    advance_log(pipeline, connections, window)
    return summary
