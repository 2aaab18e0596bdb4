"""
Keys without a location: a run in which most of them are unresolved must not look healthy.

A look-up refresh and a replay of the quarantine read only rows with a problem, so their shares mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.errors import ContractBroken
from include.medallion.geocoders.location import ADVICE
from include.medallion.model.window import Mode, Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts, sum_lookups

_JUDGED = {Mode.WINDOW, Mode.REFRESH, Mode.TRIAL}
_RESOLVED, _WAITING = "OK", "PENDING"


def find_unresolved(pipeline: Pipeline, window: Window, parts: Sequence[EnrichedPart]) -> Iterator[str]:
    """Yield a warning for each geocode in which more keys have no location than its file tolerates."""
    for settings, counts in _geocoded(pipeline, window, parts):
        if problem := _problem(settings, counts):
            yield f"pipeline {pipeline.name}: {problem}"


def check_resolved(pipeline: Pipeline, window: Window, parts: Sequence[EnrichedPart]) -> None:
    """
    Check that enough keys have a location, where the pipeline file says that the run fails otherwise.

    Raises:
        ContractBroken: names the share, the statuses and the setting.
    """
    for settings, counts in _geocoded(pipeline, window, parts):
        if settings.on_unresolved == "fail" and (problem := _problem(settings, counts)):
            raise ContractBroken(
                f"batch {window.batch_id} of pipeline {pipeline.name} is not loaded (on_unresolved: fail): {problem}"
            )


def _geocoded(
    pipeline: Pipeline, window: Window, parts: Sequence[EnrichedPart]
) -> Iterator[tuple[GeocodeSettings, LookupCounts]]:
    for number, enrichment in enumerate(pipeline.enrich):
        if enrichment.geocode and window.mode in _JUDGED:
            yield enrichment.geocode, sum_lookups(c for p in parts for c in p.by_enrichment[number : number + 1])


def _problem(settings: GeocodeSettings, counts: LookupCounts) -> str | None:
    keys = sum(count for status, count in counts.statuses.items() if status != _WAITING)
    failed = {status: n for status, n in sorted(counts.statuses.items()) if status not in {_RESOLVED, _WAITING}}
    unresolved = sum(failed.values())
    if keys < settings.min_unresolved_keys or unresolved <= keys * settings.max_unresolved_share:
        return None
    return (
        f"{unresolved:,} of {keys:,} keys have no location ({', '.join(f'{s} {n:,}' for s, n in failed.items())}), "
        f"more than max_unresolved_share ({settings.max_unresolved_share:g}) of column {settings.postcode}: "
        f"{_advice(failed)}docs/enrichments.md says what each status means"
    )


def _advice(failed: Mapping[str, int]) -> str:
    most = max(failed, key=failed.__getitem__)
    return f"{most}: {ADVICE[most]}; " if most in ADVICE else ""
