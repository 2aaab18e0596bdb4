"""
Open the enrichments of a pipeline: functions on distinct keys that add columns to rows.

An `Enrichment` names the columns that form its key, turns their values into keys, and looks keys up. Everything else is
the same for all: deduplication, cache, leases, rate limit, call budget, staging and join. Geocoding is built in
(`geocoding`); a pipeline file can name any function of the user's (`functions`). A pipeline may have several
enrichments; a later one may read what an earlier one adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.enrichment import EnrichmentSettings, GeocodeSettings
from include.medallion.geocoders.location import Sources
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import Column


def open_enrichments(
    pipeline: Pipeline, columns: tuple[Column, ...], environ: Mapping[str, str], sources: Sources | None = None
) -> tuple[Enrichment, ...]:
    """
    Open the enrichments that a pipeline file describes, in order.

    Args:
        pipeline: its `enrich` section may be empty.
        columns: columns of the source table.
        environ: environment variables, such as GOOGLE_API_KEY.
        sources: where a geocoder can read tables of places.

    Raises:
        SettingError: an API key is not set, a module or function cannot be imported, or a key column does not exist.
    """
    return tuple(_open_in_order(pipeline.enrich, columns, environ, sources))


def _open_in_order(
    configured: list[EnrichmentSettings],
    columns: tuple[Column, ...],
    environ: Mapping[str, str],
    sources: Sources | None,
) -> Iterator[Enrichment]:
    for settings in configured:
        enrichment = _open(settings, columns, environ, sources)
        columns = (*columns, *enrichment.columns)
        yield enrichment


def _open(
    enrichment: EnrichmentSettings, columns: tuple[Column, ...], environ: Mapping[str, str], sources: Sources | None
) -> Enrichment:
    settings = enrichment.settings
    if isinstance(settings, GeocodeSettings):
        from include.medallion.enrich.geocoding import open_geocoding  # noqa: PLC0415 (loaded only if it is used)

        return open_geocoding(settings, environ, columns, sources)
    from include.medallion.enrich.functions import open_function  # noqa: PLC0415

    return open_function(settings, columns)
