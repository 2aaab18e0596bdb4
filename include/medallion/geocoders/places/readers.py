"""Read the rows of each format, as text until they are `RAW`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

RAW = pa.schema(
    [
        ("country", pa.string()),
        ("region", pa.string()),
        ("postcode", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("radius_m", pa.float64()),
        ("precision", pa.string()),
        ("place_id", pa.string()),
    ]
)
"""Columns of a file, as they are written in it."""
GEONAMES_COLUMNS = (
    *("country", "postcode", "place", "state", "region", "county", "county_code", "community", "community_code"),
    *("latitude", "longitude", "accuracy"),
)
CODE_POINT_COLUMNS = 10
_ACCURACY = {"1": "ESTIMATED", "2": "ESTIMATED", "3": "PLACE", "4": "PLACE", "5": "CENTROID", "6": "CENTROID"}
_NUMBER = r"^-?[0-9]+(\.[0-9]*)?([eE]-?[0-9]+)?$"
_BRITISH_GRID, _WGS_84 = 27700, 4326  # https://epsg.org


def delimiter_of(line: str) -> str:
    """Return what separates the fields of a file's first line."""
    return max("\t;,", key=line.count)


def read_geonames(member: IO[bytes]) -> Iterator[pa.Table]:
    """Yield the rows of GeoNames' postal codes."""
    rows = csv.open_csv(
        member,
        csv.ReadOptions(column_names=list(GEONAMES_COLUMNS)),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        _as_text(GEONAMES_COLUMNS),
    )
    for batch in rows:
        table = pa.table(batch)
        accuracy = [_ACCURACY.get(text or "") for text in table["accuracy"].to_pylist()]
        yield table.append_column("precision", pa.array(accuracy, pa.string()))


def read_onspd(member: IO[bytes]) -> Iterator[pa.Table]:
    """Yield the rows of the ONS Postcode Directory."""
    names = {"postcode": "pcds", "latitude": "lat", "longitude": "long"}
    options = _as_text(names.values(), include_columns=list(names.values()))
    for batch in csv.open_csv(member, convert_options=options):
        yield pa.table({name: batch.column(column) for name, column in names.items()} | _country("GB", batch))


def read_code_point(member: IO[bytes]) -> Iterator[pa.Table]:
    """Yield the rows of Code-Point Open."""
    names = [f"c{number}" for number in range(CODE_POINT_COLUMNS)]
    transformer = import_module("pyproj").Transformer.from_crs(_BRITISH_GRID, _WGS_84)
    for batch in csv.open_csv(member, csv.ReadOptions(column_names=names), convert_options=_as_text(names)):
        east, north = (pc.cast(batch.column(name), pa.float64()).to_numpy() for name in ("c2", "c3"))
        known = pa.array((east > 0) & (north > 0))
        places = [pa.array(values).cast(pa.string()) for values in transformer.transform(east, north)]
        latitude, longitude = (pc.if_else(known, values, pa.scalar(None, pa.string())) for values in places)
        columns = {"postcode": batch.column("c0"), "latitude": latitude, "longitude": longitude}
        yield pa.table(columns | _country("GB", batch))


def read_csv(member: IO[bytes], columns: Mapping[str, str]) -> Iterator[pa.Table]:
    """Yield the rows of a file with a header."""
    line = member.readline()
    delimiter = delimiter_of(line.decode("utf-8-sig", "replace"))
    names = [name.strip('"\r\n ') for name in line.decode("utf-8-sig", "replace").split(delimiter)]
    wanted = list(columns.values())
    rows = csv.open_csv(
        member,
        csv.ReadOptions(column_names=names),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        _as_text(names, include_columns=wanted),
    )
    for batch in rows:
        yield pa.table({name: batch.column(column) for name, column in columns.items()})


def _as_text(names: Iterable[str], include_columns: list[str] | None = None) -> csv.ConvertOptions:
    types = {name: pa.string() for name in names}
    return csv.ConvertOptions(
        column_types=types, include_columns=include_columns, strings_can_be_null=True, null_values=[""]
    )


def _country(code: str, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    return {"country": pa.repeat(code, batch.num_rows)}


def to_raw(rows: pa.Table, country: str | None) -> pa.Table:
    """Return rows as `RAW`; `country` is that of rows without one."""
    columns = [_column(rows, field) for field in RAW]
    table = pa.table(columns, schema=RAW)
    if country is None:
        return table
    given = pc.coalesce(table["country"], pa.scalar(country))
    return table.set_column(0, RAW.field("country"), given)


def _column(rows: pa.Table, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    """Return a column as RAW has it; text that is no number counts as none."""
    if field.name not in rows.column_names:
        return pa.nulls(len(rows), field.type)
    column = rows[field.name]
    if not pa.types.is_floating(field.type):
        return column
    is_number = pc.match_substring_regex(column, _NUMBER)
    return pc.if_else(is_number, column, pa.scalar(None, pa.string())).cast(field.type)
