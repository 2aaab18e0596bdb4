"""
An enrichment of your own by a local model: the office nearest to a place, by great-circle distance.

Its keys are columns that the geocode before it adds. Any model that takes a table can be used in the same way.
"""  # noqa: INP001 (an example, no package)

from __future__ import annotations

import numpy as np
import pyarrow as pa

OFFICES = {"Seattle": (47.6062, -122.3321), "Chicago": (41.8781, -87.6298), "New York": (40.7128, -74.0060)}
EARTH_KM = 6371.0088  # mean radius: https://iugg.org


def nearest_office(keys: pa.Table) -> pa.Table:
    """
    Return the nearest office of distinct places, and its distance in kilometres; NULL for unknown places.

    Args:
        keys: columns `latitude` and `longitude` in degrees.
    """
    here = np.radians(np.column_stack([keys["latitude"].to_numpy(), keys["longitude"].to_numpy()]).astype(float))
    there = np.radians(np.array(list(OFFICES.values())))
    a, b = here[:, None, :], there[None, :, :]
    square = (
        np.sin((a[..., 0] - b[..., 0]) / 2) ** 2
        + np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((a[..., 1] - b[..., 1]) / 2) ** 2
    )
    kilometres = 2 * EARTH_KM * np.arcsin(np.sqrt(square))
    nearest, unknown = kilometres.argmin(axis=1), np.isnan(here).any(axis=1)
    names = np.array(list(OFFICES))[nearest]
    return pa.table(
        {
            "office": pa.array(names, pa.string(), mask=unknown),
            "office_km": pa.array(kilometres[np.arange(len(nearest)), nearest], pa.float64(), mask=unknown),
        }
    )
