"""
The Delta table of imported places: one row for each key, with the source, its licence and version, and the date.

An import replaces the places that the same source had for the same countries. Of two sources that have one key, the
last import wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.errors import SettingError
from include.medallion.geocoders.coordinates.boxes import REGIONS, plausible
from include.medallion.geocoders.postcodes import UNKNOWN, normalise_columns
from include.medallion.geocoders.table.match import merge_places
from include.medallion.geocoders.table.read import PLACES
from include.medallion.lake import delta, shared_table
from include.medallion.lake.object_store import Lake
from include.medallion.model.columns import TIMESTAMP_UTC

STORED = pa.schema(
    [
        *PLACES,
        ("source", pa.string()),
        ("licence", pa.string()),
        ("version", pa.string()),
        ("imported_at", TIMESTAMP_UTC),
    ]
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where places are from, recorded with each of them."""

    source: str
    licence: str
    version: str


@dataclass(frozen=True, slots=True)
class Imported:
    """
    What became of a file's rows.

    Args:
        rows: in the file.
        unknown: of these, without a country or a postcode that can be understood.
        unplaced: without a usable coordinate.
        outside: whose coordinate lies outside of their country, state or province.
    """

    places: int
    countries: int
    rows: int
    unknown: int
    unplaced: int
    outside: int


def import_places(lake: Lake, name: str, raw: Iterable[pa.Table], origin: Origin, now: datetime) -> Imported:
    """
    Check the rows of a file and add them to the table.

    Args:
        name: the Delta table below the lake's root.
        raw: rows as `formats.read` yields them.

    Raises:
        SettingError: the file has no usable row, or the table is not one of imported places.
        CommitFailedError: every attempt to commit conflicted with another import.
    """
    _check_table(lake, name)
    counts, checked = np.zeros(4, np.int64), []
    for rows in raw:
        places, skipped = _check(rows)
        counts += [len(rows), *skipped]
        checked.append(places)
    found = pa.concat_tables([PLACES.empty_table(), *checked]).combine_chunks()
    if not len(found):
        raise SettingError(
            f"the file has no place: of {counts[0]:,} rows, {counts[1]:,} have no country or postcode that can be "
            f"understood, {counts[2]:,} no coordinate, {counts[3]:,} one outside of their country. Name the country "
            "with --country"
        )
    merged = merge_places(found)
    recorded = (origin.source, origin.licence, origin.version, pa.scalar(now, TIMESTAMP_UTC))
    stored = pa.table([*merged.columns, *(pa.repeat(value, len(merged)) for value in recorded)], schema=STORED)
    shared_table.update(lake, name, STORED, lambda before: (_replaced(before, stored), None))
    return Imported(len(merged), len(merged["country"].unique()), *counts.tolist())


def _check_table(lake: Lake, name: str) -> None:
    table = delta.open_table(lake, name)
    if table and {field.name for field in table.schema().fields} != {*STORED.names}:
        raise SettingError(f"--table {name} is not a table that `places import` made: name another one")


def list_imports(lake: Lake, name: str) -> list[dict[str, object]]:
    """Return what the table holds: places and countries of each import, newest first."""
    _check_table(lake, name)
    table = delta.open_table(lake, name)
    if table is None:
        return []
    columns = ["source", "licence", "version", "imported_at"]
    rows = delta.dataset(lake, name, table).to_table(columns=[*columns, "country"])
    groups = rows.group_by(columns, use_threads=False).aggregate([([], "count_all"), ("country", "count_distinct")])
    found: list[dict[str, object]] = groups.sort_by([("imported_at", "descending")]).to_pylist()
    return found


def _check(rows: pa.Table) -> tuple[pa.Table, list[int]]:
    """Return the usable places of some rows, with their keys, and how many were skipped for each reason."""
    rows = rows.combine_chunks()
    countries, codes = normalise_columns(*(_combined(rows[name]) for name in ("country", "postcode")))
    understood = pc.fill_null(pc.and_(codes.is_valid(), pc.not_equal(countries, UNKNOWN)), fill_value=False)
    north, east = (rows[name].to_numpy() for name in ("latitude", "longitude"))
    with np.errstate(invalid="ignore"):
        on_earth = (np.abs(north) <= 90) & (np.abs(east) <= 180) & ~((north == 0) & (east == 0))  # noqa: PLR2004 (degrees)
    known = understood.to_numpy(zero_copy_only=False)
    inside = _inside(countries, _combined(rows["region"]), north, east)
    keep = known & on_earth & inside
    columns = [countries, codes, *(rows[name] for name in PLACES.names[2:])]
    places = pa.table(columns, schema=PLACES).filter(pa.array(keep))
    return places, [int((~known).sum()), int((known & ~on_earth).sum()), int((known & on_earth & ~inside).sum())]


def _inside(countries: pa.Array, regions: pa.Array, north: np.ndarray, east: np.ndarray) -> np.ndarray:
    """Return which coordinates lie in the box of their country, and of their state or province where it is known."""
    joined = pc.binary_join_element_wise(pc.fill_null(countries, ""), pc.fill_null(regions, ""), ":")
    encoded, inside = joined.dictionary_encode(), np.ones(len(north), bool)
    numbers = encoded.indices.to_numpy()
    for number, text in enumerate(encoded.dictionary.to_pylist()):
        country, _, region = text.partition(":")
        rows = np.flatnonzero(numbers == number)
        known = region if region in REGIONS.get(country, {}) else None
        inside[rows] = plausible(country, north[rows], east[rows], known)
    return inside


def _replaced(before: pa.Table, new: pa.Table) -> pa.Table:
    """Return the rows of a table with those of an import instead of earlier ones."""
    source = new["source"][0]
    same = pc.and_(pc.equal(before["source"], source), pc.is_in(before["country"], new["country"].unique()))
    taken = pc.is_in(_keys(before), _keys(new))
    kept = before.filter(pc.invert(pc.or_(same, taken)))
    return pa.concat_tables([kept, new]).sort_by([("country", "ascending"), ("postcode", "ascending")])


def _keys(rows: pa.Table) -> pa.Array:
    return _combined(pc.binary_join_element_wise(rows["country"], rows["postcode"], "\x1f"))


def _combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
