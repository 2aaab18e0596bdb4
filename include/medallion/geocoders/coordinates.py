"""What may be stored as a coordinate, whoever says so."""

from __future__ import annotations

import math
from typing import Any


def usable(latitude: Any, longitude: Any) -> tuple[float, float] | None:
    """
    Give both as degrees, or None if they are not a place on earth.

    Numbers only, finite and in range. (0, 0) is how data sets and programs say
    "unknown"; no postcode lies there, 600 km off the coast of Ghana.
    """
    if not (_number(latitude) and _number(longitude)) or (latitude == 0 and longitude == 0):
        return None
    return (float(latitude), float(longitude)) if abs(latitude) <= 90 and abs(longitude) <= 180 else None  # noqa: PLR2004 (degrees)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
