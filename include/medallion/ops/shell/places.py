"""The commands `places import` and `places list`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from include.medallion.errors import SettingError

if TYPE_CHECKING:
    from include.medallion.geocoders.places.store import Origin

app = typer.Typer(no_args_is_help=True, help="Places of your own, for `geocoder: table`.")
Format = Literal["geonames", "onspd", "code-point", "csv"]
Table = Annotated[str, typer.Option(help="Delta table below AWS_URI")]


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="GeoNames postal codes, ONSPD, Code-Point Open or CSV; may be a zip")],
    format_: Annotated[Format | None, typer.Option("--format", help="default: as the file looks")] = None,
    country: Annotated[str | None, typer.Option(help="of rows without one: ISO code or name")] = None,
    source: Annotated[str | None, typer.Option(help="who publishes the file; default: by its format")] = None,
    licence: Annotated[str | None, typer.Option(help="under which it may be used; default: by its format")] = None,
    version: Annotated[str | None, typer.Option(help="of the data; default: the file's date")] = None,
    table: Table = "places",
    country_column: Annotated[str | None, typer.Option(help="of a CSV file")] = None,
    postcode: Annotated[str | None, typer.Option(help="column of a CSV file")] = None,
    latitude: Annotated[str | None, typer.Option(help="column of a CSV file")] = None,
    longitude: Annotated[str | None, typer.Option(help="column of a CSV file")] = None,
) -> None:
    """Load a file of postcodes into a table that `geocoder: table` reads; replaces an earlier version of the file."""
    from include.medallion.config.connections import lake_from_environment
    from include.medallion.geocoders.places import formats
    from include.medallion.geocoders.places.store import import_places
    from include.medallion.ops.shell.opened import failures_in_one_line

    columns = {"country": country_column, "postcode": postcode, "latitude": latitude, "longitude": longitude}
    with failures_in_one_line():
        layout = formats.detect(file, format_, {name: column for name, column in columns.items() if column})
        origin = _origin(file, layout.format, source, licence, version)
        rows = formats.read(file, layout, _alpha2(country))
        done = import_places(lake_from_environment(os.environ), table, rows, origin, datetime.now(UTC))
    print(
        f"{table}: {done.places:,} places in {done.countries:,} countries, of {done.rows:,} rows of {origin.source} "
        f"({origin.licence}, version {origin.version})"
    )
    print(
        f"skipped: {done.unknown:,} rows without a country or postcode, {done.unplaced:,} without a coordinate, "
        f"{done.outside:,} with one outside of their country or state"
    )


@app.command("list")
def list_sources(table: Table = "places") -> None:
    """Show what a table holds: source, licence, version, date, and how many places."""
    from include.medallion.config.connections import lake_from_environment
    from include.medallion.geocoders.places.store import list_imports
    from include.medallion.ops.shell.opened import failures_in_one_line

    with failures_in_one_line():
        found = list_imports(lake_from_environment(os.environ), table)
    for one in found:
        print(
            f"{one['source']}  {one['count_all']:,} places in {one['country_count_distinct']:,} countries  "
            f"version {one['version']}  imported {one['imported_at']:%Y-%m-%d}  {one['licence']}"
        )
    if not found:
        print(f"there is no table {table}: fill it with `places import FILE`")


@app.command()
def accuracy(
    of: Annotated[str, typer.Argument(metavar="PIPELINE|FILE", help="a pipeline, or a CSV file of postcodes")],
    latitude: Annotated[str, typer.Option(help="column with the true latitude")] = "true_latitude",
    longitude: Annotated[str, typer.Option(help="column with the true longitude")] = "true_longitude",
    truth: Annotated[Path | None, typer.Option(help="file with the pipeline's key and the true coordinates")] = None,
    prefix: Annotated[str, typer.Option(help="of the geocode, if the pipeline has several")] = "",
    country: Annotated[str | None, typer.Option(help="of rows of a file without one")] = None,
    geocoder: Annotated[Literal["offline", "table"], typer.Option(help="which a file is asked of")] = "offline",
) -> None:
    """Compare coordinates with true ones: median, 90th and 99th percentile by country."""
    from include.medallion.geocoders.coordinates.accuracy import as_text
    from include.medallion.ops.accuracy import accuracy_of_file, accuracy_of_pipeline
    from include.medallion.ops.shell.opened import failures_in_one_line, opened

    if Path(of).is_file():
        with failures_in_one_line():
            named = {"latitude": latitude, "longitude": longitude} if latitude != "true_latitude" else {}
            found = accuracy_of_file(Path(of), named, _alpha2(country), geocoder, os.environ)
    else:
        with opened(of) as (pipeline, connections):
            found = accuracy_of_pipeline(pipeline, connections, (latitude, longitude), truth, prefix)
    print("\n".join(as_text(found)))


def _origin(file: Path, format_: str, source: str | None, licence: str | None, version: str | None) -> Origin:
    from include.medallion.geocoders.places.formats import LICENCES
    from include.medallion.geocoders.places.store import Origin

    known_source, known_licence = LICENCES.get(format_, (None, None))
    source, licence = source or known_source, licence or known_licence
    if not source or not licence:
        raise SettingError(
            f"{file.name} does not say where it is from: give --source and --licence, to be recorded with it"
        )
    return Origin(source, licence, version or f"{datetime.fromtimestamp(file.stat().st_mtime, UTC):%Y-%m-%d}")


def _alpha2(country: str | None) -> str | None:
    from include.medallion.config.countries import to_alpha2

    if country is None:
        return None
    if not (found := to_alpha2(country)):
        raise SettingError(f"--country {country} is no country, or the name of several: use its ISO 3166-1 code")
    return found
