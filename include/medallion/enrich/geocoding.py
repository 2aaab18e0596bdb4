"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in `locations`."""

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
        ("geocode_precision", pa.string()),  # the provider's word
        ("place_id", pa.string()),
    ]
)
_FIELD_OF = {"geocode_provider": PROVIDER, "geocoded_at": LOOKED_UP_AT}
_METERED_GROUP, _FREE_GROUP = 20, 1 << 17
_WORTH_KEEPING = ANSWERS | {Status.INVALID_REQUEST}


def open_geocoding(settings: GeocodeSettings, environ: Mapping[str, str]) -> Enrichment:
    """
    Make the geocoding that a pipeline file describes.

    Raises:
        SettingError: the chosen geocoder lacks its key.
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
        keys_per_call=1 if geocoder.metered else _FREE_GROUP,
        limits=settings if geocoder.metered else None,
        price_per_1000=price,
        group=_METERED_GROUP if geocoder.metered else _FREE_GROUP,
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
    latitudes, longitudes, statuses, precisions, places = columns = [], [], [], [], []  # in the order of _KEPT
    for key in keys:
        location = geocoder.locate(*key)
        latitudes.append(location.latitude)
        longitudes.append(location.longitude)
        statuses.append(location.status)
        precisions.append(location.precision)
        places.append(location.place_id)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _KEPT, strict=True)]
    return pa.table([*arrays, _keep_for(statuses, settings)], schema=_KEPT.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE)))


def _keep_for(statuses: list[Status], settings: GeocodeSettings) -> pa.Array:
    ended = pa.array(statuses, pa.string()).dictionary_encode()
    each = [Status(status) for status in ended.dictionary.to_pylist()]
    return pa.array(
        [_keep_for_status(one, settings) if one in _WORTH_KEEPING else None for one in each], KEEP_FOR_TYPE
    ).take(ended.indices)


def _keep_for_status(status: Status, settings: GeocodeSettings) -> timedelta:
    return timedelta(days=settings.keep_days if status is Status.OK else settings.keep_missing_days)
