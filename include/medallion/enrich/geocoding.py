"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in the table `locations`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import pyarrow as pa

from include.medallion.config.enrichment import GEOCODE_COLUMNS, GeocodeSettings
from include.medallion.geocoders import Geocoder, open_geocoder
from include.medallion.geocoders.location import ANSWERS, Status
from include.medallion.geocoders.postcodes import normalise
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, LOOKED_UP_AT, PROVIDER, Enrichment, Tracking
from include.medallion.model.keys import Key, Normalise

CACHE_TABLE = "locations"
_KEY = pa.schema([("country", pa.string()), ("postcode", pa.string())])
_KEPT = pa.schema(
    [
        ("latitude", pa.float64()),  # degrees, WGS 84
        ("longitude", pa.float64()),
        ("geocode_status", pa.string()),
        ("geocode_precision", pa.string()),  # as the provider reports it
        ("place_id", pa.string()),
    ]
)
_FIELD_OF = {"geocode_provider": PROVIDER, "geocoded_at": LOOKED_UP_AT}
_METERED_ANSWERS_PER_FILE, _FREE_ANSWERS_PER_FILE = 20, 1 << 17
_WORTH_KEEPING = ANSWERS | {Status.INVALID_REQUEST}


def open_geocoding(settings: GeocodeSettings, environ: Mapping[str, str]) -> Enrichment:
    """
    Open the geocoding enrichment that a pipeline file describes.

    Args:
        settings: the file's `geocode` section.
        environ: environment variables, such as GOOGLE_API_KEY.

    Raises:
        SettingError: the geocoder needs an API key that is not set.
    """
    geocoder = open_geocoder(settings, environ)
    price = geocoder.list_price if settings.price_per_1000 is None else settings.price_per_1000
    return Enrichment(
        cache=CACHE_TABLE,
        provider=geocoder.provider,
        reads=tuple(settings.reads),
        key=_KEY,
        answers=_KEPT,
        status="geocode_status",
        adds={settings.prefix + name: _FIELD_OF.get(name, name) for name in GEOCODE_COLUMNS},
        normalise=_normaliser(settings),
        call=partial(_geocode, geocoder, settings),
        keys_per_call=1 if geocoder.metered else _FREE_ANSWERS_PER_FILE,
        limits=settings if geocoder.metered else None,
        price_per_1000=price,
        answers_per_file=_METERED_ANSWERS_PER_FILE if geocoder.metered else _FREE_ANSWERS_PER_FILE,
        without_key=str(Status.NO_POSTCODE),
        refused=str(Status.INVALID_REQUEST),
        tracked=_tracking(settings),
        expires=settings.expire == "null_out",
    )


def _tracking(settings: GeocodeSettings) -> Tracking:
    status, at, provider = (settings.prefix + name for name in ("geocode_status", "geocoded_at", "geocode_provider"))
    return Tracking(
        status, at, lambda found: _keep_for_status(Status(found), settings), provider, frozenset({"offline"})
    )


def _normaliser(settings: GeocodeSettings) -> Normalise:
    if settings.country_column:
        return lambda values: normalise(_text(values[0]), _text(values[1]))
    return lambda values: normalise(settings.country, _text(values[0]))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _geocode(geocoder: Geocoder, settings: GeocodeSettings, keys: list[Key]) -> pa.Table:
    locations = [geocoder.locate(*key) for key in keys]
    statuses = [location.status for location in locations]
    columns = (  # in the order of _KEPT
        [location.latitude for location in locations],
        [location.longitude for location in locations],
        statuses,
        [location.precision for location in locations],
        [location.place_id for location in locations],
    )
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _KEPT, strict=True)]
    return pa.table([*arrays, _keep_for(statuses, settings)], schema=_KEPT.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE)))


def _keep_for(statuses: list[Status], settings: GeocodeSettings) -> pa.Array:
    encoded = pa.array(statuses, pa.string()).dictionary_encode()
    distinct = [Status(status) for status in encoded.dictionary.to_pylist()]
    times = [_keep_for_status(status, settings) if status in _WORTH_KEEPING else None for status in distinct]
    return pa.array(times, KEEP_FOR_TYPE).take(encoded.indices)


def _keep_for_status(status: Status, settings: GeocodeSettings) -> timedelta:
    return timedelta(days=settings.keep_days if status is Status.OK else settings.keep_missing_days)
