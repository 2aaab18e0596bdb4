"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in the table `locations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

import pyarrow as pa

from include.medallion.config.enrichment import GEOCODE_COLUMNS, GeocodeSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders import Geocoder, open_geocoder
from include.medallion.geocoders.location import ANSWERS, Status
from include.medallion.geocoders.postcodes import normalise, restore_zeros, unanswerable_many
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, LOOKED_UP_AT, PROVIDER, Enrichment, Tracking
from include.medallion.model.columns import Column
from include.medallion.model.keys import Key, Normalise, to_table

CACHE_TABLE = "locations"
_KEY = pa.schema([("country", pa.string()), ("postcode", pa.string())])
_KEPT = pa.schema(
    [
        ("latitude", pa.float64()),  # degrees, WGS 84
        ("longitude", pa.float64()),
        ("geocode_status", pa.string()),
        ("geocode_precision", pa.string()),  # as the provider reports it
        ("geocode_radius_m", pa.float64()),  # metres
        ("place_id", pa.string()),
    ]
)
_FOUND = ("latitude", "longitude", "status", "precision", "radius_m", "place_id")  # of LOCATED, in the order of _KEPT
_FIELD_OF = {"geocode_provider": PROVIDER, "geocoded_at": LOOKED_UP_AT}
_METERED_ANSWERS_PER_FILE, _FREE_ANSWERS_PER_FILE = 20, 1 << 17
_WORTH_KEEPING = ANSWERS | {Status.INVALID_REQUEST}


def open_geocoding(settings: GeocodeSettings, environ: Mapping[str, str], columns: Iterable[Column] = ()) -> Enrichment:
    """
    Open the geocoding enrichment that a pipeline file describes.

    Args:
        settings: the file's `geocode` section.
        environ: environment variables, such as GOOGLE_API_KEY.
        columns: those that rows have before it, to check their types.

    Raises:
        SettingError: the geocoder needs an API key that is not set, or a column's type holds no postcode or country.
    """
    check_types(settings, ((column.name, column.read_type) for column in columns))
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
        settle=_settle,
    )


def _settle(keys: list[Key]) -> pa.Array:
    return unanswerable_many(*to_table(keys, _KEY).combine_chunks().to_batches()[0].columns)


def _tracking(settings: GeocodeSettings) -> Tracking:
    status, at, provider = (settings.prefix + name for name in ("geocode_status", "geocoded_at", "geocode_provider"))
    return Tracking(
        status, at, lambda found: _keep_for_status(Status(found), settings), provider, frozenset({"offline"})
    )


def check_types(settings: GeocodeSettings, columns: Iterable[tuple[str, pa.DataType]]) -> None:
    """
    Refuse columns that hold neither postcodes nor countries: bytes, dates, truth values, nested values.

    Args:
        settings: the file's `geocode` section.
        columns: names of the source's columns, with their Arrow types as they are read.

    Raises:
        SettingError: names the setting, the column, its type and the fix.
    """
    types = dict(columns)
    for setting, column in (("postcode", settings.postcode), ("country_column", settings.country_column)):
        kind = types.get(column) if column else None
        if kind is not None and not _may_hold_text(kind):
            raise SettingError(
                f"enrich.geocode.{setting}: column {column} is of type {kind}, which holds no {setting.split('_')[0]}: "
                "choose a column of text or numbers, or cast it in a view"
            )


def _may_hold_text(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _normaliser(settings: GeocodeSettings) -> Normalise:
    if settings.restore_leading_zeros:
        return lambda values: (key := _key_of(settings, values)) and restore_zeros(key)
    return partial(_key_of, settings)


def _key_of(settings: GeocodeSettings, values: Key) -> Key | None:
    country = values[0] if settings.country_column else settings.country
    return normalise(country, values[-1], settings.default_country)


def _geocode(geocoder: Geocoder, settings: GeocodeSettings, keys: list[Key]) -> pa.Table:
    countries, postcodes = (pa.array([key[i] for key in keys], pa.string()) for i in range(len(_KEY)))
    found = geocoder.locate_many(countries, postcodes)
    columns = [found[name] for name in _FOUND]
    schema = _KEPT.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE))
    return pa.table([*columns, _keep_for(found["status"], settings)], schema=schema)


def _keep_for(statuses: pa.Array, settings: GeocodeSettings) -> pa.Array:
    encoded = statuses.dictionary_encode()
    distinct = [Status(status) for status in encoded.dictionary.to_pylist()]
    times = [_keep_for_status(status, settings) if status in _WORTH_KEEPING else None for status in distinct]
    return pa.array(times, KEEP_FOR_TYPE).take(encoded.indices)


def _keep_for_status(status: Status, settings: GeocodeSettings) -> timedelta:
    return timedelta(days=settings.keep_days if status is Status.OK else settings.keep_missing_days)
