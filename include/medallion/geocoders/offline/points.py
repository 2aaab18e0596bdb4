"""What a source of postcodes answers: coordinates as columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class Points(NamedTuple):
    """One row per postcode asked, float64; NaN where the place or its extent is not known."""

    latitudes: np.ndarray  # degrees, WGS 84
    longitudes: np.ndarray
    radii: np.ndarray  # metres from the point to the farthest part of the place
    areas: np.ndarray  # bool: the postcode stands for an area of many


def unknown(count: int) -> Points:
    """Return so many rows without a place, to be filled in."""
    return Points(np.full(count, np.nan), np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, bool))


def rows_by(keys: list[str | None]) -> dict[str, list[int]]:
    """Group the numbers of rows by a key; rows whose key is None are left out."""
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        if key is not None:
            groups.setdefault(key, []).append(row)
    return groups


def texts(codes: pa.Array) -> list[str]:
    """Return postcodes as a list; a null is an empty text, which no source knows."""
    return [code or "" for code in codes.to_pylist()]
