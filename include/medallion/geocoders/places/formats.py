"""
Files of public postcode data, plain or zipped, as record batches of `RAW`.

| format | file | licence |
|---|---|---|
| `geonames` | postal codes of GeoNames: https://download.geonames.org/export/zip/readme.txt | CC BY 4.0 |
| `onspd` | ONS Postcode Directory: https://geoportal.statistics.gov.uk | Open Government Licence 3.0 |
| `code-point` | Code-Point Open: https://osdatahub.os.uk | Open Government Licence 3.0 |
| `csv` | any file with a header | the file's own |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, is_zipfile

import pyarrow as pa
from pyarrow import csv

from include.medallion.errors import SettingError
from include.medallion.geocoders.places import readers
from include.medallion.geocoders.places.readers import CODE_POINT_COLUMNS, GEONAMES_COLUMNS, delimiter_of

GEONAMES, ONSPD, CODE_POINT, CSV = "geonames", "onspd", "code-point", "csv"
_OGL = "Open Government Licence 3.0"
LICENCES = {GEONAMES: ("GeoNames", "CC BY 4.0"), ONSPD: ("ONSPD", _OGL), CODE_POINT: ("Code-Point Open", _OGL)}
"""Source and licence of each format that has one."""
_GUESSES = {
    "country": ("country", "country_code", "countrycode", "iso2"),
    "region": ("region", "state_code"),
    "postcode": ("postcode", "postal_code", "postalcode", "zipcode", "zip", "plz", "pcds"),
    "latitude": ("true_latitude", "latitude", "lat"),
    "longitude": ("true_longitude", "longitude", "lon", "lng", "long"),
    "radius_m": ("radius_m",),
    "precision": ("precision",),
    "place_id": ("place_id",),
}
"""Names that columns usually have."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file is, and how its columns are named."""

    format: str
    columns: Mapping[str, str]  # column of the file by that of RAW; empty where the format says it


def detect(file: Path, chosen: str | None, columns: Mapping[str, str]) -> Layout:
    """
    Return the layout of a file.

    Args:
        chosen: the format, if the user names one.
        columns: the file's columns that the user names, by those of RAW.

    Raises:
        SettingError: the file is missing, empty, or has no columns that can be understood.
    """
    with _opened(file) as members:
        first = next(members, None)
        line = first.readline().decode("utf-8-sig", "replace").rstrip("\r\n") if first else ""
    if not line:
        raise SettingError(f"{file.name} is empty: name a file of postcodes, or a zip of such files")
    format_ = chosen or _guess(line)
    if format_ != CSV:
        return Layout(format_, {})
    names = [name.strip('"') for name in line.split(delimiter_of(line))]
    return Layout(CSV, _columns(file.name, names, columns))


def read(file: Path, layout: Layout, country: str | None) -> Iterator[pa.Table]:
    """
    Yield the rows of a file (`RAW`).

    Args:
        country: alpha-2 code of all rows that have none.
    """
    read_one = {GEONAMES: readers.read_geonames, ONSPD: readers.read_onspd, CODE_POINT: readers.read_code_point}
    with _opened(file) as members:
        for member in members:
            found = (
                readers.read_csv(member, layout.columns) if layout.format == CSV else read_one[layout.format](member)
            )
            for rows in found:
                yield readers.to_raw(rows, country)


def read_table(file: Path) -> pa.Table:
    """Return a CSV file with a header, in the types that its values have."""
    return csv.read_csv(file)


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[IO[bytes]]]:
    """Open a file, or those in a zip that are data."""
    if not file.is_file():
        raise SettingError(f"{file} is no file: name a file of postcodes, or a zip of such files")
    with ExitStack() as stack:
        if not is_zipfile(file):
            yield iter([stack.enter_context(file.open("rb"))])
            return
        try:
            archive = stack.enter_context(ZipFile(file))
        except BadZipFile:
            raise SettingError(f"{file.name} is a damaged zip: download it again") from None
        yield (archive.open(name) for name in sorted(archive.namelist()) if _is_data(name))


def _is_data(name: str) -> bool:
    path = Path(name.lower())
    described = "readme" in path.name or {"doc", "documents", "user guide"} & {*path.parts[:-1]}
    return path.suffix in {".txt", ".csv", ".tsv"} and not described


def _guess(line: str) -> str:
    if len(line.split("\t")) == len(GEONAMES_COLUMNS) and "\tlatitude" not in line.lower():
        return GEONAMES
    fields = [field.strip('"').lower() for field in line.split(",")]
    if {"pcds", "lat", "long"} <= {*fields}:
        return ONSPD
    if len(fields) == CODE_POINT_COLUMNS and fields[2].isdigit() and fields[3].isdigit():
        return CODE_POINT
    return CSV


def _columns(file: str, names: list[str], chosen: Mapping[str, str]) -> dict[str, str]:
    known = {name.lower(): name for name in names}
    guessed = {column: known[g] for column, guesses in _GUESSES.items() for g in reversed(guesses) if g in known}
    columns = guessed | dict(chosen)
    missing = [name for name in ("postcode", "latitude", "longitude") if columns.get(name) not in names]
    if missing:
        raise SettingError(
            f"{file} has no columns {missing} among {names}: name them with --postcode, --latitude and --longitude"
        )
    return {column: name for column, name in columns.items() if name in names}
