"""
ZIP codes of the United States and of the countries that it serves: 41,920 codes with a place.

They are in `united_states.parquet`, which `deploy/places/united_states.py` makes of the package
`zipcodes` (MIT, https://github.com/seanpianka/Zipcodes).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.medallion.geocoders.offline.points import Points, unknown
from include.medallion.geocoders.postcodes.territories import SYSTEMS

COUNTRIES = ("US", *SYSTEMS["US"])
FILE = Path(__file__).with_suffix(".parquet")

_DIGITS = 5


def find(codes: pa.Array) -> Points:
    """Answer five-digit codes; all others are unknown."""
    points = unknown(len(codes))
    fits = pc.and_(pc.ascii_is_decimal(codes), pc.equal(pc.binary_length(codes), _DIGITS))
    rows = pc.indices_nonzero(pc.fill_null(fits, fill_value=False))
    numbers = codes.take(rows).cast(pa.int32()).to_numpy()
    latitudes, longitudes = _places()
    points.latitudes[rows], points.longitudes[rows] = latitudes[numbers], longitudes[numbers]
    return points


def find_one(code: str) -> tuple[float, float]:
    """Answer one code with its latitude and longitude, NaN if it is unknown: as `find`, without arrays."""
    if not (len(code) == _DIGITS and code.isascii() and code.isdigit()):
        return math.nan, math.nan
    latitudes, longitudes = _places()
    return latitudes.item(int(code)), longitudes.item(int(code))


def source() -> str:
    """Return the package that the places are from, with its version."""
    metadata: dict[bytes, bytes] = pq.read_schema(FILE).metadata
    return metadata[b"source"].decode()


@cache
def _places() -> tuple[np.ndarray, np.ndarray]:
    """Return latitudes and longitudes, in degrees, by the number that a code is; NaN where there is none."""
    table = pq.read_table(FILE)
    latitudes, longitudes = (np.full(10**_DIGITS, np.nan) for _ in range(2))
    codes = table["code"].to_numpy()
    latitudes[codes], longitudes[codes] = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    return latitudes, longitudes
