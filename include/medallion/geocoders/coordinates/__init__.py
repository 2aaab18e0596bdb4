"""What may be stored as a coordinate, whoever says so, and how far coordinates are from each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_EARTH_METRES = 6_371_008.8  # mean radius: https://iugg.org


def usable(latitude: Any, longitude: Any) -> tuple[float, float] | None:
    """
    Give both as degrees, or None if they are not a place on earth.

    Numbers only, finite and in range. (0, 0) is how data sets and programs say
    "unknown"; no postcode lies there, 600 km off the coast of Ghana.
    """
    if not (_number(latitude) and _number(longitude)) or (latitude == 0 and longitude == 0):
        return None
    return (float(latitude), float(longitude)) if abs(latitude) <= 90 and abs(longitude) <= 180 else None  # noqa: PLR2004 (degrees)


def radius(place: tuple[float, float], *corners: tuple[Any, Any]) -> float | None:
    """
    Return the metres from a place to the farthest of the corners around it.

    Args:
        place: latitude and longitude in degrees.
        corners: south west and north east of a box, as a provider gives them.

    Returns:
        None if a corner is no place on earth.
    """
    (south, west), (north, east) = corners
    all_four = [usable(*corner) for corner in ((south, west), (south, east), (north, west), (north, east))]
    known = [corner for corner in all_four if corner]
    return float(distances(*place, *np.array(known).T).max()) if len(known) == len(all_four) else None


def distances(latitude: float, longitude: float, latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """Return the great-circle distances in metres from one coordinate to others, all in degrees."""
    here, there = np.radians([latitude, longitude]), np.radians([latitudes, longitudes])
    north, east = np.sin((there - here[:, None]) / 2) ** 2
    metres: np.ndarray = 2 * _EARTH_METRES * np.arcsin(np.sqrt(north + math.cos(here[0]) * np.cos(there[0]) * east))
    return metres


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
