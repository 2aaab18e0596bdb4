"""Step 3, once for each part: look up its distinct keys and join its rows with the results."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.expiry import prepare_refresh
from include.medallion.enrich.part import enrich_part
from include.medallion.enrich.registry import open_enrichments
from include.medallion.errors import ContractBroken
from include.medallion.geocoders.location import Sources
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import read_schema
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import columns_from_schema
from include.medallion.model.window import Mode, Window
from include.medallion.staging.parts import EnrichedPart, StagedFile
from include.medallion.staging.records.manifests import read_extracted


def enrich(
    pipeline: Pipeline, connections: Connections, window: Window, part: int, parallel_parts: int = 1
) -> EnrichedPart:
    """
    Enrich one part of a batch.

    Args:
        part: its number.
        parallel_parts: parts that may run at the same time; each gets its share of the rate limit.

    Raises:
        Incomplete: `extract` has not finished.
        ProviderRefused, Transient: as the look-up does. Answers that were paid for until then are kept.
        ContractBroken: the part's files are damaged, or there is no such part.
    """
    parts = {p.number: p for p in read_extracted(connections.lake, window)}
    if part not in parts:
        raise ContractBroken(f"batch {window.batch_id} has no part {part}; its parts are {sorted(parts)}")
    chosen = parts[part]
    enrichments = enrichments_of(pipeline, connections, chosen.files[0])
    if window.mode is Mode.LOOKUPS:
        enrichments = prepare_refresh(connections.lake, enrichments, datetime.now(UTC))
    share = min(parallel_parts, chosen.of)
    return enrich_part(connections.lake, pipeline, enrichments, window, chosen, datetime.now(UTC), share)


def enrichments_of(pipeline: Pipeline, connections: Connections, file: StagedFile) -> tuple[Enrichment, ...]:
    """Open a pipeline's enrichments for rows with the columns of a staged file."""
    columns = columns_from_schema(_schema(connections.lake, file))
    return open_enrichments(pipeline, columns, connections.environ, place_sources(pipeline, connections))


def place_sources(pipeline: Pipeline, connections: Connections) -> Sources:
    """Return where geocoders can read tables of places: the lake, and the database of the pipeline's source."""

    def query(sql: str) -> pa.Table:
        with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
            return bronze_connection.fetch_table(connection, sql, "enrich.geocode.table.postgres")

    return Sources(connections.lake, query)


def _schema(lake: Lake, file: StagedFile) -> pa.Schema:
    return read_schema(lake, file.path, file.info)
