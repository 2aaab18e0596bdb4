"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in `locations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import lru_cache

import pyarrow as pa

from include.medallion.enrichment import GEOCODED, Answer, Answered, Enrichment
from include.medallion.geocoders import Geocoder, open_geocoder
from include.medallion.geocoders.location import ANSWERS, Location, Status
from include.medallion.geocoders.postcodes import normalise
from include.medallion.keys import Key, Normalise
from include.medallion.lookups import Tally, answers
from include.medallion.pipeline import Geocode

CACHE = "locations"
_KEY = pa.schema([("country", pa.string()), ("postcode", pa.string())])
_KEPT = pa.schema([*((c.name, c.type) for c in GEOCODED), ("place_id", pa.string())])
_METERED_GROUP, _FREE_GROUP = 20, 10_000
_REMEMBERED = 1 << 17  # spellings of postcodes: all that there are in most countries


def geocoding(settings: Geocode, environ: Mapping[str, str]) -> Enrichment:
    """
    Make the geocoding that a pipeline file describes.

    Raises:
        SettingError: the chosen geocoder lacks its key.
    """
    geocoder = open_geocoder(settings, environ)
    return Enrichment(
        cache=CACHE,
        provider=geocoder.provider,
        reads=tuple(c for c in (settings.country_column, settings.postcode) if c),
        key=_KEY,
        answers=_KEPT,
        adds=tuple(c.name for c in GEOCODED),
        normalise=_normaliser(settings),
        ask=lambda keys, budget, share, tally: _ask(keys, geocoder, settings, budget, share, tally),
        group=_METERED_GROUP if geocoder.metered else _FREE_GROUP,
        costly=geocoder.metered,
        without_key=_answer(Location(Status.NO_POSTCODE)),
        unanswered=_answer(Location(Status.PENDING)),
        refused=lambda answer: answer["geocode_status"] == Status.INVALID_REQUEST,
    )


def _normaliser(settings: Geocode) -> Normalise:
    if settings.country_column:
        return lru_cache(_REMEMBERED)(lambda values: normalise(_text(values[0]), _text(values[1])))
    return lru_cache(_REMEMBERED)(lambda values: normalise(settings.country, _text(values[0])))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _ask(
    keys: list[Key], geocoder: Geocoder, settings: Geocode, budget: int | None, share: int, tally: Tally
) -> Iterator[Answered]:
    for key, location in answers(_within(keys, budget, tally), geocoder, settings, share, tally):
        yield Answered(key, _answer(location), _keep(location.status, settings))


def _within(keys: list[Key], budget: int | None, tally: Tally) -> Iterator[Key]:
    """Hand keys out while neither they nor the calls made (retries are calls too) exceed the budget."""
    for asked, key in enumerate(keys):
        if budget is not None and max(asked, tally.calls) >= budget:
            return
        yield key


def _keep(status: Status, settings: Geocode) -> timedelta | None:
    if status is Status.OK:
        return timedelta(days=settings.keep_days)
    return timedelta(days=settings.keep_missing_days) if status in ANSWERS | {Status.INVALID_REQUEST} else None


def _answer(location: Location) -> Answer:
    return {
        "latitude": location.latitude,
        "longitude": location.longitude,
        "geocode_status": str(location.status),
        "geocode_precision": location.precision,
        "place_id": location.place_id,
    }
