"""Last step: check the row counts of a run and return its summary."""

from __future__ import annotations

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.window import Window
from include.medallion.staging.manifests import read_applied, read_enriched
from include.medallion.steps.row_counts import RunSummary, check_row_counts


def commit(pipeline: Pipeline, lake: Lake, window: Window) -> RunSummary:
    """
    Check that every row of a batch is accounted for in every sink.

    Raises:
        ContractBroken: rows are missing; the watermark must not be advanced.
        Incomplete: a step of the batch is missing.
    """
    parts = read_enriched(lake, window)
    return check_row_counts(window, parts, {name: read_applied(lake, window, name) for name in pipeline.sink_steps})
