"""
What a pipeline adds to its rows: columns that depend on a key alone.

An `Enrichment` names the columns it reads, turns their values into keys and
answers keys; the rest (de-duplication, cache, staging, joining) is the same for
all. Geocoding is built in (`geocoding`); any function of the user's can be
named in the pipeline file instead (`functions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from include.medallion.keys import Key, Normalise
from include.medallion.lookups import Tally
from include.medallion.pipeline import Pipeline
from include.medallion.schema import Column, added_column

Answer = Mapping[str, object]
"""Value of each column in `Enrichment.answers`, for one key."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One key with its answer, and how long the answer may be used again (None: not at all)."""

    key: Key
    answer: Answer
    keep: timedelta | None


Ask = Callable[[list[Key], int | None, int, Tally], Iterator[Answered]]
"""
(keys, budget in calls, share of the deployment's rate, tally) -> answers as they arrive.

Keys over the budget are left out. Raises as `lookups.look_up` does.
"""


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How the keys of one pipeline are answered."""

    cache: str  # Delta table that keeps the answers
    provider: str  # who answers; answers of another provider are not used
    reads: tuple[str, ...]  # source columns that a key is made of
    key: pa.Schema
    answers: pa.Schema  # all that is kept of an answer
    adds: tuple[str, ...]  # the columns of `answers` that rows get
    normalise: Normalise
    ask: Ask
    group: int  # answers stored at a time: what a crash may cost
    costly: bool  # asking takes time or money: worth more parts
    without_key: Answer
    unanswered: Answer  # for keys over the budget
    refused: Callable[[Answer], bool]  # rows with this answer break the contract

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that rows get, described for all layers."""
        return tuple(added_column(name, self.answers.field(name).type) for name in self.adds)


def open_enrichment(pipeline: Pipeline, columns: tuple[Column, ...], environ: Mapping[str, str]) -> Enrichment:
    """
    Make the enrichment that a pipeline file describes.

    Args:
        columns: those of the source table.
        environ: may hold GOOGLE_API_KEY and what else a provider needs.

    Raises:
        SettingError: a key, a module or a function is missing.
    """
    if pipeline.enrich.geocode:
        from include.medallion.geocoding import geocoding  # noqa: PLC0415 (only the chosen one is loaded)

        return geocoding(pipeline.enrich.geocode, environ)
    from include.medallion.functions import function  # noqa: PLC0415

    return function(pipeline.enrich.function, columns)


GEOCODED = (
    added_column("latitude", pa.float64()),
    added_column("longitude", pa.float64()),
    added_column("geocode_status", pa.string()),
    added_column("geocode_precision", pa.string()),
)
"""Columns that geocoding adds: degrees (WGS 84), how the look-up ended, the provider's word for its precision."""
