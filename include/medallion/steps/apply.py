"""Steps `load_silver` and `write_gold`: apply a complete batch to one sink."""

from __future__ import annotations

from datetime import UTC, datetime

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.lookups import cache
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Window
from include.medallion.quarantine.replay import close_entries
from include.medallion.quarantine.table import check_bad_share, record_rows
from include.medallion.staging.batch import Batch, open_batch
from include.medallion.staging.records.manifests import write_applied
from include.medallion.steps.enrich import enrichments_of
from include.medallion.steps.sinks import open_sinks
from include.medallion.steps.summary.row_counts import check_expectations
from include.medallion.steps.summary.unresolved import check_resolved


def apply_batch(pipeline: Pipeline, connections: Connections, window: Window, sink_name: str) -> Applied:
    """
    Apply a batch to one of the pipeline's sinks.

    The first sink's step also checks that the others can take the batch, and quarantines the batch's invalid rows. The
    last one's also merges new look-up results into their cache, and closes the quarantine entries of rows that all
    sinks hold then.

    Raises:
        Incomplete: a stage of the batch is missing.
        SettingError: the pipeline has no such sink.
        QuarantineOverflow: too many rows are invalid.
        ContractBroken: rows do not meet an expectation whose action is to fail, or too many keys have no location;
            checked before any sink is touched.
        SinkBehind, SourceChanged, ContractBroken: as `staging.sink.Sink.apply`.
    """
    sinks = {sink.name: sink for sink in open_sinks(pipeline, connections)}
    if sink_name not in sinks:
        raise SettingError(f"pipeline {pipeline.name} has no {sink_name}: its sinks are {sorted(sinks)}")
    first, last = next(iter(sinks)), next(reversed(sinks))
    batch = open_batch(connections.lake, pipeline, window)
    check_expectations(pipeline, window, batch.parts)
    check_resolved(pipeline, window, batch.parts)
    if sink_name == first:
        for other in (sink for name, sink in sinks.items() if name != first):
            other.check(batch)
        _quarantine(batch)
    enrichments = enrichments_of(pipeline, connections, batch.files[0]) if sink_name == last else ()
    for enrichment in enrichments:
        cache.merge(batch.lake, enrichment)
    applied = sinks[sink_name].apply(batch)
    write_applied(batch.lake, window, sink_name, applied)
    if sink_name == last:
        _finish(batch, enrichments)
    return applied


def _quarantine(batch: Batch) -> None:
    reasons = record_rows(batch)
    if batch.window.mode is not Mode.QUARANTINE:
        check_bad_share(reasons, batch.read, batch.pipeline.quarantine)


def _finish(batch: Batch, enrichments: tuple[Enrichment, ...]) -> None:
    for enrichment in enrichments if batch.window.mode is Mode.LOOKUPS else ():
        cache.purge(batch.lake, enrichment.cache, datetime.now(UTC))
    close_entries(batch)
