"""How far coordinates are from the true ones: median and quantiles by country."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from include.medallion.geocoders.coordinates.centres import great_circle

ALL = "all"
"""Stands for all countries together."""


class Accuracy(NamedTuple):
    """The accuracy in one country; distances are NaN if no row is located."""

    country: str
    rows: int  # with a true coordinate
    located: int  # of these, with a coordinate that was found
    median_m: float
    p90_m: float
    p99_m: float
    within_radius: float  # share of the rows with an error radius that lie in it


def measure(
    countries: pa.Array, found: pa.Table, true_latitudes: np.ndarray, true_longitudes: np.ndarray
) -> list[Accuracy]:
    """
    Return the accuracy of each country, and of all together.

    Args:
        countries: of the rows, text without nulls.
        found: columns latitude, longitude and radius_m, null where a row is not located.
        true_latitudes, true_longitudes: degrees; NaN where the truth is not known: such rows are left out.
    """
    places = [
        found[name].to_numpy(zero_copy_only=False).astype(float) for name in ("latitude", "longitude", "radius_m")
    ]
    metres = great_circle(true_latitudes, true_longitudes, places[0], places[1])
    known = ~np.isnan(true_latitudes) & ~np.isnan(true_longitudes)
    names = np.array(countries.to_pylist(), object)
    return list(_by_country(names[known], metres[known], places[2][known]))


def _by_country(names: np.ndarray, metres: np.ndarray, radii: np.ndarray) -> Iterator[Accuracy]:
    chosen = sorted({*names.tolist()})
    for name in (*chosen, ALL):
        rows = np.ones(len(names), bool) if name == ALL else names == name
        located = metres[rows & ~np.isnan(metres)]
        bounded = rows & ~np.isnan(metres) & ~np.isnan(radii)
        quantiles = np.quantile(located, [0.5, 0.9, 0.99]) if len(located) else np.full(3, np.nan)
        within = float((metres[bounded] <= radii[bounded]).mean()) if bounded.any() else np.nan
        median, p90, p99 = quantiles.tolist()
        yield Accuracy(name, int(rows.sum()), len(located), median, p90, p99, within)


def as_text(found: list[Accuracy]) -> list[str]:
    """Return the lines of a table; distances in km."""
    head = ("rows", "located", "", "median km", "90 % km", "99 % km", "in radius")
    return [_line("country", head), *(_line(one.country, _cells(one)) for one in found)]


def _cells(one: Accuracy) -> tuple[str, ...]:
    share = one.located / one.rows if one.rows else 0.0
    distances = (_or_dash(metres / 1000, ",.2f") for metres in (one.median_m, one.p90_m, one.p99_m))
    return f"{one.rows:,}", f"{one.located:,}", f"{share:.0%}", *distances, _or_dash(one.within_radius, ".0%")


def _or_dash(number: float, form: str) -> str:
    return "-" if math.isnan(number) else format(number, form)


def _line(country: str, cells: Sequence[str]) -> str:
    return f"{country:<8}" + "".join(f"{cell:>11}" for cell in cells)
