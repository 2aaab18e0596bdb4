"""Geocoding as an enrichment: (country, postcode) to coordinates, cached in the table `locations`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.geocoding import FREE_GEOCODERS, H3_COLUMN, VERDICT_COLUMN, GeocodeSettings
from include.medallion.enrich.addresses import by_address, locate_addresses
from include.medallion.errors import SettingError
from include.medallion.geocoders import Geocoder, open_geocoder
from include.medallion.geocoders import check_terms as check_provider_terms
from include.medallion.geocoders.location import ANSWERS, Sources, Status
from include.medallion.geocoders.postcodes import normalise_columns, unanswerable_many
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, LOOKED_UP_AT, PROVIDER, Enrichment, Tracking
from include.medallion.model.columns import Column
from include.medallion.model.keys import Key, to_table

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
_CELL = pa.schema([(H3_COLUMN, pa.string())])
_FOUND = {"latitude": "latitude", "longitude": "longitude", "place_id": "place_id"} | {
    f"geocode_{name}": name for name in ("status", "precision", "radius_m", "verdict")
}
"""The columns of LOCATED by the fields of an answer."""
_FIELD_OF = {"geocode_provider": PROVIDER, "geocoded_at": LOOKED_UP_AT}
_METERED_ANSWERS_PER_FILE, _FREE_KEYS_PER_CALL = 20, 1 << 20
_WORTH_KEEPING = ANSWERS | {Status.INVALID_REQUEST}


def open_geocoding(
    settings: GeocodeSettings,
    environ: Mapping[str, str],
    columns: Iterable[Column] = (),
    sources: Sources | None = None,
) -> Enrichment:
    """
    Open the geocoding enrichment that a pipeline file describes.

    Args:
        settings: the file's `geocode` section.
        environ: environment variables, such as GOOGLE_API_KEY.
        columns: those that rows have before it, to check their types.
        sources: where a table of places can be read.

    Raises:
        SettingError: the geocoder needs an API key that is not set, or a column's type holds no postcode or country.
    """
    check_types(settings, ((column.name, column.read_type) for column in columns))
    geocoder = open_geocoder(settings, environ, sources)
    enrichment = _enrichment(settings, geocoder)
    if geocoder.locate_address:
        answers = pa.schema([*_KEPT, (VERDICT_COLUMN, pa.string())])
        locate = partial(locate_addresses, geocoder.locate_address)
        enrichment = by_address(enrichment, settings, partial(_look_up, locate, settings, answers))
    if settings.h3 is None:
        return enrichment
    return replace(enrichment, derived=_CELL, derive=partial(_cells, settings.h3))


def _enrichment(settings: GeocodeSettings, geocoder: Geocoder) -> Enrichment:
    price = geocoder.list_price if settings.price_per_1000 is None else settings.price_per_1000
    return Enrichment(
        cache=CACHE_TABLE,
        provider=geocoder.provider,
        reads=tuple(settings.reads),
        key=_KEY,
        answers=_KEPT,
        status="geocode_status",
        adds={name: _field_of(name.removeprefix(settings.prefix)) for name in settings.columns},
        normalise=partial(_keys, settings),
        call=partial(_look_up, partial(_locate, geocoder), settings, _KEPT),
        keys_per_call=1 if geocoder.metered else _FREE_KEYS_PER_CALL,
        limits=settings if geocoder.metered else None,
        price_per_1000=price,
        answers_per_file=_METERED_ANSWERS_PER_FILE,
        without_key=str(Status.NO_POSTCODE),
        refused=str(Status.INVALID_REQUEST),
        tracked=_tracking(settings, geocoder.provider),
        expires=settings.expire == "null_out",
        settle=_settle,
        data_version=None if geocoder.metered else geocoder.data_version,
    )


def check_terms(pipeline: Pipeline) -> list[str]:
    """Return a message for each geocode of a pipeline file that keeps coordinates longer than its provider allows."""
    problems = []
    for enrichment in pipeline.enrich:
        if enrichment.geocode and enrichment.geocode.geocoder:
            try:
                check_provider_terms(enrichment.geocode.geocoder, enrichment.geocode.keep_days)
            except SettingError as e:
                problems.append(str(e))
    return problems


def _field_of(column: str) -> str:
    return _FIELD_OF.get(column, column)


def _cells(resolution: int, answers: pa.Table) -> pa.Table:
    """Return the H3 cell of each coordinate (https://h3geo.org), null where there is none."""
    import h3  # noqa: PLC0415 (only pipelines that have the setting need it)

    places = zip(answers["latitude"].to_pylist(), answers["longitude"].to_pylist(), strict=True)
    cells = [None if north is None else h3.latlng_to_cell(north, east, resolution) for north, east in places]
    return pa.table([pa.array(cells, pa.string())], schema=_CELL)


def _settle(keys: list[Key]) -> pa.Array:
    return unanswerable_many(*to_table(keys, _KEY).combine_chunks().to_batches()[0].columns)


def _tracking(settings: GeocodeSettings, provider_now: str) -> Tracking:
    status, at, provider = (settings.prefix + name for name in ("geocode_status", "geocoded_at", "geocode_provider"))
    return Tracking(
        status,
        at,
        lambda found: _keep_for_status(Status(found), settings),
        provider,
        FREE_GEOCODERS,
        retried=frozenset({str(Status.ZERO_RESULTS), str(Status.UNSUPPORTED)}),
        now_provider=provider_now,
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
    read = [("postcode", settings.postcode), ("country_column", settings.country_column)]
    for setting, column in (*read, *(("address", name) for name in settings.address or ())):
        kind = types.get(column) if column else None
        if kind is not None and not _may_hold_text(kind):
            raise SettingError(
                f"enrich.geocode.{setting}: column {column} is of type {kind}, which holds no {setting.split('_')[0]}: "
                "choose a column of text or numbers, or cast it in a view"
            )


def _may_hold_text(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _keys(settings: GeocodeSettings, columns: Sequence[pa.Array]) -> list[Key | None]:
    countries = columns[0] if settings.country_column else pa.repeat(settings.country, len(columns[-1]))
    restore = settings.restore_leading_zeros
    keys = normalise_columns(countries, columns[-1], settings.default_country, restore=restore)
    codes = keys[1].to_pylist()
    return [key if key[1] is not None else None for key in zip(keys[0].to_pylist(), codes, strict=True)]


def _locate(geocoder: Geocoder, keys: Sequence[Key]) -> pa.RecordBatch:
    return geocoder.locate_many(*(pa.array([key[i] for key in keys], pa.string()) for i in range(len(_KEY))))


def _look_up(
    locate: Callable[[Sequence[Key]], pa.RecordBatch], settings: GeocodeSettings, answers: pa.Schema, keys: list[Key]
) -> pa.Table:
    """Return the answers to keys, with the time-to-live of each."""
    found = locate(keys)
    columns = [found[_FOUND[name]] for name in answers.names]
    schema = answers.append(pa.field(KEEP_FOR, KEEP_FOR_TYPE))
    return pa.table([*columns, _keep_for(found["status"], settings)], schema=schema)


def _keep_for(statuses: pa.Array, settings: GeocodeSettings) -> pa.Array:
    encoded = statuses.dictionary_encode()
    distinct = [Status(status) for status in encoded.dictionary.to_pylist()]
    times = [_keep_for_status(status, settings) if status in _WORTH_KEEPING else None for status in distinct]
    return pa.array(times, KEEP_FOR_TYPE).take(encoded.indices)


def _keep_for_status(status: Status, settings: GeocodeSettings) -> timedelta:
    return timedelta(days=settings.keep_days if status is Status.OK else settings.keep_missing_days)
