"""
ZIP codes of the United States and of the countries that it serves: package `zipcodes` (MIT, 42,789 codes).

A code whose coordinate lies outside its state is dropped, unless `_CORRECTED` has it. Codes of the
armed forces (states AA, AE, AP) have no fixed place and are dropped, too.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.geocoders.coordinates.boxes import plausible
from include.medallion.geocoders.offline.points import Points, unknown
from include.medallion.geocoders.postcodes.territories import SYSTEMS

COUNTRIES = ("US", *SYSTEMS["US"])

_DIGITS = 5
_IN_AREA = 1000  # codes that begin with the same two digits
_ARMED_FORCES = {"AA", "AE", "AP"}
_CORRECTED = {  # places in GeoNames, https://www.geonames.org (CC BY 4.0), of codes that have a wrong sign or 0, 0
    "96939": (7.5008, 134.6238),  # Ngerulmud
    "96941": (6.9640, 158.2062),  # Pohnpei: Kolonia
    "96942": (7.4465, 151.8414),  # Chuuk: Weno
    "96943": (9.5164, 138.1217),  # Yap: Colonia
    "96944": (5.3248, 163.0078),  # Kosrae: Tofol
    "96960": (7.0897, 171.3803),  # Majuro
    "96970": (8.7748, 167.7392),  # Ebeye
}


def find(codes: pa.Array) -> Points:
    """Answer five-digit codes; all others are unknown."""
    points = unknown(len(codes))
    fits = pc.and_(pc.ascii_is_decimal(codes), pc.equal(pc.binary_length(codes), _DIGITS))
    rows = pc.indices_nonzero(pc.fill_null(fits, fill_value=False))
    areas, places = np.divmod(codes.take(rows).cast(pa.int32()).to_numpy(), _IN_AREA)
    rows = rows.to_numpy()
    for area in np.unique(areas):
        here = areas == area
        latitudes, longitudes = _area(int(area))
        points.latitudes[rows[here]] = latitudes[places[here]]
        points.longitudes[rows[here]] = longitudes[places[here]]
    return points


def find_one(code: str) -> tuple[float, float]:
    """Answer one code with its latitude and longitude, NaN if it is unknown: as `find`, without arrays."""
    if not (len(code) == _DIGITS and code.isascii() and code.isdigit()):
        return math.nan, math.nan
    area, place = divmod(int(code), _IN_AREA)
    latitudes, longitudes = _area(area)
    return latitudes.item(place), longitudes.item(place)


@cache
def _area(area: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return latitudes and longitudes by the last three digits, of the codes that begin with these two.

    The package's list of all codes takes 140 MB, and its search reads all of them for each code.
    """
    latitudes, longitudes = (np.full(_IN_AREA, np.nan) for _ in range(2))
    for state, rows in _by_state(import_module("zipcodes").similar_to(f"{area:02}")).items():
        at = np.array([int(row["zip_code"]) % _IN_AREA for row in rows])
        places = np.array(
            [_CORRECTED.get(row["zip_code"]) or (row["lat"] or 0, row["long"] or 0) for row in rows], float
        )
        north, east = places.T
        right = plausible(state if state in COUNTRIES else "US", north, east, region=state)
        latitudes[at[right]], longitudes[at[right]] = north[right], east[right]
    return latitudes, longitudes


def _by_state(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    states: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["state"] not in _ARMED_FORCES:
            states.setdefault(row["state"], []).append(row)
    return states
