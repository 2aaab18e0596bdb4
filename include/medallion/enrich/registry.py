"""
What a pipeline adds to its rows: columns that depend on a key alone.

An `Enrichment` names the columns it reads, turns their values into keys and
answers keys; the rest (de-duplication, cache, claims, pace, budget, staging,
joining) is the same for all. Geocoding is built in (`geocoding`); any function
of the user's can be named in the pipeline file instead (`functions`). A
pipeline has one or several; a later one may read what an earlier one adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from include.medallion.config.enrichment import EnrichmentSettings
from include.medallion.config.pipeline import Pipeline
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.model.columns import Column


def open_enrichments(
    pipeline: Pipeline, columns: tuple[Column, ...], environ: Mapping[str, str]
) -> tuple[Enrichment, ...]:
    """
    Make the enrichments that a pipeline file describes, in their order.

    Args:
        columns: those of the source table.
        environ: may hold GOOGLE_API_KEY and what else a provider needs.

    Raises:
        SettingError: a key, a module or a function is missing.
    """
    return tuple(_open_in_order(pipeline.enrich, columns, environ))


def _open_in_order(
    wished: list[EnrichmentSettings], columns: tuple[Column, ...], environ: Mapping[str, str]
) -> Iterator[Enrichment]:
    for one in wished:
        made = _open_one(one, columns, environ)
        columns = (*columns, *made.columns)
        yield made


def _open_one(wished: EnrichmentSettings, columns: tuple[Column, ...], environ: Mapping[str, str]) -> Enrichment:
    if wished.geocode:
        from include.medallion.enrich.geocoding import open_geocoding  # noqa: PLC0415 (only the chosen one is loaded)

        return open_geocoding(wished.geocode, environ)
    from include.medallion.enrich.functions import open_function  # noqa: PLC0415

    return open_function(wished.function, columns)
