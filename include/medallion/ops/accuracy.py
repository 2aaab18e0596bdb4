"""
The accuracy of a geocode, for any table with true coordinates.

The truth is in columns of the Gold table, or in a file with the same key. A file of postcodes with true coordinates can
be asked of a geocoder without a pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.medallion.config.connections import Connections, lake_from_environment
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.geocoding import GeocoderName, GeocodeSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders import open_geocoder
from include.medallion.geocoders.coordinates.accuracy import Accuracy, measure
from include.medallion.geocoders.location import Sources
from include.medallion.geocoders.places import formats
from include.medallion.geocoders.postcodes import UNKNOWN, normalise_columns
from include.medallion.lake import delta
from include.medallion.model.columns import DELETED_AT

_TRUTH = ("_true_latitude", "_true_longitude")


def accuracy_of_pipeline(
    pipeline: Pipeline, connections: Connections, columns: tuple[str, str], truth: Path | None, prefix: str = ""
) -> list[Accuracy]:
    """
    Compare the coordinates in a pipeline's Gold table with the true ones.

    Args:
        columns: true latitude and longitude, in the Gold table or in the file.
        truth: a Parquet or CSV file with the pipeline's key and the true coordinates.
        prefix: of the geocode, if the pipeline has several.

    Raises:
        SettingError: the pipeline has no such geocode, or a column or the table is missing.
    """
    settings = _geocode(pipeline, prefix)
    table = delta.open_table(connections.lake, pipeline.gold_table)
    if table is None:
        raise SettingError(f"there is no Gold table {pipeline.gold_table} yet: run pipeline {pipeline.name} first")
    found = (f"{prefix}latitude", f"{prefix}longitude", f"{prefix}geocode_radius_m")
    own = () if truth else columns
    wanted = dict.fromkeys([*pipeline.key, *settings.reads, *found, *own])
    rows = delta.dataset(connections.lake, pipeline.gold_table, table)
    if missing := sorted(name for name in wanted if name not in rows.schema.names):
        raise SettingError(
            f"the Gold table {pipeline.gold_table} has no columns {missing}: name the columns of the truth"
        )
    live = rows.to_table(columns=[*wanted], filter=pc.field(DELETED_AT).is_null())
    live = (
        _joined(live, pipeline.key, columns, truth)
        if truth
        else _renamed(live, dict(zip(columns, _TRUTH, strict=True)))
    )
    names = dict(zip(found, ("latitude", "longitude", "radius_m"), strict=True))
    return _measured(_countries(settings, live), live, names)


def accuracy_of_file(
    file: Path,
    columns: Mapping[str, str],
    country: str | None,
    geocoder: GeocoderName,
    environ: Mapping[str, str],
) -> list[Accuracy]:
    """
    Ask a geocoder for the postcodes of a CSV file with true coordinates, and compare.

    Args:
        columns: the file's columns of the true latitude and longitude, if they have no usual names.
        country: alpha-2 code of rows without one.
        geocoder: one that costs nothing.

    Raises:
        SettingError: the file has no such columns.
    """
    lake = lake_from_environment(environ) if geocoder == "table" else None
    settings = GeocodeSettings(postcode="postcode", country_column="country", geocoder=geocoder)
    opened = open_geocoder(settings, environ, Sources(lake, _no_database) if lake else None)
    layout = formats.detect(file, formats.CSV, columns)
    rows = pa.concat_tables(formats.read(file, layout, country)).combine_chunks()
    countries, codes = normalise_columns(*(rows[name].combine_chunks() for name in ("country", "postcode")))
    asked = codes.is_valid()
    answers = pa.table(opened.locate_many(countries.filter(asked), codes.filter(asked)))
    truth = [rows[name].combine_chunks().filter(asked) for name in ("latitude", "longitude")]
    return measure(countries.filter(asked), answers, *(column.to_numpy(zero_copy_only=False) for column in truth))


def _no_database(_: str) -> pa.Table:
    raise SettingError("a file has no database: choose a Delta or Parquet table")


def _geocode(pipeline: Pipeline, prefix: str) -> GeocodeSettings:
    found = [e.geocode for e in pipeline.enrich if e.geocode and e.geocode.prefix == prefix]
    if not found:
        raise SettingError(f"pipeline {pipeline.name} has no geocode with the prefix {prefix!r}: give --prefix")
    return found[0]


def _joined(rows: pa.Table, key: list[str], columns: tuple[str, str], file: Path) -> pa.Table:
    truth = pq.read_table(file) if file.suffix == ".parquet" else formats.read_table(file)
    if missing := sorted({*key, *columns} - {*truth.column_names}):
        raise SettingError(f"{file.name} has no columns {missing}: it has {truth.column_names}")
    truth = _renamed(truth.select([*key, *columns]), dict(zip(columns, _TRUTH, strict=True)))
    for name in key:
        place = truth.column_names.index(name)
        truth = truth.set_column(place, name, truth[name].cast(rows.schema.field(name).type))
    return rows.join(truth, keys=key, join_type="inner")


def _renamed(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Return rows with further columns, copies of some under other names."""
    for old, new in names.items():
        rows = rows.append_column(new, rows[old])
    return rows


def _countries(settings: GeocodeSettings, rows: pa.Table) -> pa.Array:
    codes = rows[settings.postcode].combine_chunks()
    spelled = (
        rows[settings.country_column].combine_chunks()
        if settings.country_column
        else pa.repeat(settings.country, len(codes))
    )
    countries, _ = normalise_columns(spelled, codes, settings.default_country)
    return pc.fill_null(countries, UNKNOWN)


def _measured(countries: pa.Array, rows: pa.Table, names: Mapping[str, str]) -> list[Accuracy]:
    found = pa.table({new: rows[old] for old, new in names.items()})
    truth = (rows[name].combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False) for name in _TRUTH)
    return measure(countries, found, *truth)
