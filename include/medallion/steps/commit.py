"""Last step: check the row counts of a run and return its summary."""

from __future__ import annotations

from dataclasses import replace

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import Lake
from include.medallion.model.window import Window
from include.medallion.staging.records.manifests import read_applied, read_enriched, read_gone
from include.medallion.steps.schema.removal import remove_old_values
from include.medallion.steps.summary.billing import with_billed_cost
from include.medallion.steps.summary.row_counts import RunSummary, check_row_counts
from include.medallion.steps.summary.unresolved import find_unresolved


def commit(pipeline: Pipeline, lake: Lake, window: Window) -> RunSummary:
    """
    Check that every row of a batch is accounted for in every sink; remove values that must not be kept any longer.

    Raises:
        ContractBroken: rows are missing; the watermark must not be advanced.
        Incomplete: a step of the batch is missing.
    """
    parts = read_enriched(lake, window)
    applied = {name: read_applied(lake, window, name) for name in pipeline.sink_steps}
    gone = sum(file.info.rows for file in read_gone(lake, window))
    summary = check_row_counts(window, parts, applied, gone)
    lookups = with_billed_cost(lake, pipeline, window, parts, summary.lookups)
    summary = replace(summary, lookups=lookups, warnings=tuple(find_unresolved(pipeline, window, parts)))
    removed = remove_old_values(lake, pipeline.name, window.batch_id) if window.mode.advances_watermark else None
    return replace(summary, schema_changes=(*summary.schema_changes, removed)) if removed else summary
