"""
Postcodes from the user's own table: Delta or Parquet in the lake, or Postgres.

The table may be what `places import` has made, or any other: its countries and postcodes may be spelled in any way.
A code that it lacks is ZERO_RESULTS, a country of which it has no place UNSUPPORTED. Several rows of one postcode are
one place, their centre. A part of a postcode (GB OX1) is the centre of its codes, and a whole code is found as its part
if the table has only the part; both have the precision AREA.
"""

from __future__ import annotations

import pyarrow as pa

from include.medallion.errors import SettingError
from include.medallion.geocoders.location import Access, Declaration, Locate, LocateMany, Location, Sources, Status
from include.medallion.geocoders.table.match import match
from include.medallion.geocoders.table.read import read_places, read_version


def _open_many(access: Access) -> LocateMany:
    def locate_many(countries: pa.Array, postcodes: pa.Array) -> pa.RecordBatch:
        wanted = set(countries.drop_null().unique().to_pylist())
        return match(countries, postcodes, read_places(_sources(access), access, wanted))

    return locate_many


def _open(access: Access) -> Locate:
    many = _open_many(access)

    def locate(country: str, postcode: str) -> Location:
        (answer,) = many(pa.array([country], pa.string()), pa.array([postcode], pa.string())).to_pylist()
        return Location(**answer | {"status": Status(answer["status"])})

    return locate


def _sources(access: Access) -> Sources:
    if access.sources is None:
        raise SettingError("geocoder table reads a table of the lake or of the source: set AWS_URI")
    return access.sources


GEOCODER = Declaration(
    open=_open,
    metered=False,
    terms="https://creativecommons.org/licenses/by/4.0/",
    keep_days=None,
    open_many=_open_many,
    data_version=lambda access: read_version(_sources(access), access),
)
