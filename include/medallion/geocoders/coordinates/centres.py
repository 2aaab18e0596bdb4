"""One coordinate for many: the centre of places that belong together, and how far it is from the farthest of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_EARTH_METRES = 6_371_008.8  # mean radius: https://iugg.org

Numbers = np.ndarray


class Centres(NamedTuple):
    """One row for each group."""

    latitudes: Numbers  # degrees, WGS 84
    longitudes: Numbers
    radii: Numbers  # metres; NaN for a group of one place whose extent is not known


def centres(groups: Numbers, latitudes: Numbers, longitudes: Numbers, radii: Numbers) -> Centres:
    """
    Return the centre and the radius of each group of places.

    The centre is the mean of the places on the sphere, so that groups across the antimeridian are right.

    Args:
        groups: number of each place's group, from 0 without gaps.
        latitudes, longitudes: degrees.
        radii: metres; NaN where the extent of a place is not known.
    """
    points = _points(latitudes, longitudes)
    sums = np.stack([np.bincount(groups, axis) for axis in points])
    counts = np.bincount(groups)
    single = np.zeros(len(counts), np.int64)
    single[groups] = np.arange(len(groups))
    north = np.degrees(np.arctan2(sums[2], np.hypot(sums[0], sums[1])))
    east = np.degrees(np.arctan2(sums[1], sums[0]))
    alone = counts == 1
    north[alone], east[alone] = latitudes[single[alone]], longitudes[single[alone]]  # exactly as it was
    return Centres(north, east, _radii(groups, points, north, east, radii, alone))


def _radii(groups: Numbers, points: Numbers, north: Numbers, east: Numbers, radii: Numbers, alone: Numbers) -> Numbers:
    metres = _arcs(points - _points(north, east)[:, groups]) + np.nan_to_num(radii)
    farthest = np.zeros(len(north))
    np.maximum.at(farthest, groups, metres)
    own = np.full(len(north), np.nan)
    own[groups] = radii
    return np.where(alone, own, farthest)


def great_circle(latitudes: Numbers, longitudes: Numbers, others: Numbers, other_longitudes: Numbers) -> Numbers:
    """Return the metres between pairs of places, all in degrees."""
    return _arcs(_points(latitudes, longitudes) - _points(others, other_longitudes))


def _arcs(chords: Numbers) -> Numbers:
    """Return the metres on the ground of vectors between points on the unit sphere."""
    metres: Numbers = 2 * _EARTH_METRES * np.arcsin(np.clip(np.linalg.norm(chords, axis=0) / 2, 0, 1))
    return metres


def _points(latitudes: Numbers, longitudes: Numbers) -> Numbers:
    """Return the points on the unit sphere, three rows."""
    north, east = np.radians(latitudes), np.radians(longitudes)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
