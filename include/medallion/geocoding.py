"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in `locations`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

import pyarrow as pa

from include.medallion.enrichment import LOOKED_UP_AT, PROVIDER, Answer, Answered, Enrichment, Tracked
from include.medallion.geocoders import Geocoder, open_geocoder
from include.medallion.geocoders.location import ANSWERS, Location, Status
from include.medallion.geocoders.postcodes import normalise
from include.medallion.keys import Key, Normalise
from include.medallion.pipeline_enrich import GEOCODED, Geocode

CACHE = "locations"
_KEY = pa.schema([("country", pa.string()), ("postcode", pa.string())])
_KEPT = pa.schema(
    [
        ("latitude", pa.float64()),  # degrees, WGS 84
        ("longitude", pa.float64()),
        ("geocode_status", pa.string()),
        ("geocode_precision", pa.string()),  # the provider's word
        ("place_id", pa.string()),
    ]
)
_FIELD_OF = {"geocode_provider": PROVIDER, "geocoded_at": LOOKED_UP_AT}
_METERED_GROUP, _FREE_GROUP = 20, 10_000
_REMEMBERED = 1 << 17  # spellings of postcodes: all that there are in most countries


def geocoding(settings: Geocode, environ: Mapping[str, str]) -> Enrichment:
    """
    Make the geocoding that a pipeline file describes.

    Raises:
        SettingError: the chosen geocoder lacks its key.
    """
    geocoder = open_geocoder(settings, environ)
    price = geocoder.list_price if settings.price_per_1000 is None else settings.price_per_1000
    return Enrichment(
        cache=CACHE,
        provider=geocoder.provider,
        reads=tuple(settings.reads),
        key=_KEY,
        answers=_KEPT,
        status="geocode_status",
        adds={settings.prefix + name: _FIELD_OF.get(name, name) for name in GEOCODED},
        normalise=_normaliser(settings),
        call=lambda keys: [_ask(key, geocoder, settings) for key in keys],
        keys_per_call=1 if geocoder.metered else _FREE_GROUP,
        limits=settings if geocoder.metered else None,
        price_per_1000=price,
        group=_METERED_GROUP if geocoder.metered else _FREE_GROUP,
        without_key=_nothing(Status.NO_POSTCODE),
        unanswered=_nothing(Status.PENDING),
        refused=lambda answer: answer["geocode_status"] == Status.INVALID_REQUEST,
        tracked=_tracked(settings),
        expires=settings.expire == "null_out",
    )


def _tracked(settings: Geocode) -> Tracked:
    status, at, provider = (settings.prefix + name for name in ("geocode_status", "geocoded_at", "geocode_provider"))
    return Tracked(status, at, lambda found: _life(Status(found), settings), provider, frozenset({"offline"}))


def _normaliser(settings: Geocode) -> Normalise:
    if settings.country_column:
        return lru_cache(_REMEMBERED)(lambda values: normalise(_text(values[0]), _text(values[1])))
    return lru_cache(_REMEMBERED)(lambda values: normalise(settings.country, _text(values[0])))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _ask(key: Key, geocoder: Geocoder, settings: Geocode) -> Answered:
    location = geocoder.locate(*key)
    kept = location.status in ANSWERS | {Status.INVALID_REQUEST}
    return Answered(key, _answer(location), _life(location.status, settings) if kept else None)


def _life(status: Status, settings: Geocode) -> timedelta:
    return timedelta(days=settings.keep_days if status is Status.OK else settings.keep_missing_days)


def _answer(location: Location) -> Answer:
    return {
        "latitude": location.latitude,
        "longitude": location.longitude,
        "geocode_status": str(location.status),
        "geocode_precision": location.precision,
        "place_id": location.place_id,
    }


def _nothing(status: Status) -> Answer:
    return {**_answer(Location(status)), PROVIDER: None, LOOKED_UP_AT: None}
