"""Ask a geocoder from a shell: `python -m include.medallion.geocoders 98052 --country US`."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, NoReturn

import typer

from include.medallion.config.connections import lake_from_environment
from include.medallion.config.countries import suggest
from include.medallion.config.sections.enrichment import GeocoderName, GeocodeSettings
from include.medallion.errors import Refused, SettingError, Transient
from include.medallion.geocoders import open_geocoder
from include.medallion.geocoders.location import Location, Sources
from include.medallion.geocoders.postcodes import UNKNOWN, normalise


def main(
    postcode: Annotated[str, typer.Argument(help="As people write it: 98052, 'sw1a 1aa', K1A0B1.")],
    country: Annotated[str, typer.Option(help="ISO code or name, in any language.")] = "US",
    geocoder: Annotated[
        GeocoderName | None, typer.Option(help="Default: google_geocoding if GOOGLE_API_KEY is set, else offline.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for an answer.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """
    Look one postcode up and print the answer.

    One call, no cache, no retry. Exit codes: 0 answered (ZERO_RESULTS is an
    answer), 1 refused or a wrong setting, 75 may work later.
    """
    try:
        settings = GeocodeSettings.model_construct(postcode="", geocoder=geocoder, timeout_seconds=timeout)
        _print(*_ask(postcode, country, settings), as_json)
    except Refused as refusal:
        _fail(refusal, 1)
    except Transient as failure:
        _fail(failure, os.EX_TEMPFAIL)


def _ask(postcode: str, country: str, settings: GeocodeSettings) -> tuple[str, tuple[str, str], Location]:
    key = normalise(country, postcode)
    if key is None:
        raise SettingError("give a postcode that is not blank")
    if key[0] == UNKNOWN:
        raise SettingError(f"--country {country} is no country, or the name of several{_hint(country)}")
    opened = open_geocoder(settings, os.environ, _sources() if settings.geocoder == "table" else None)
    return opened.provider, key, opened.locate(*key)


def _sources() -> Sources:
    """Return the lake, in which the table `places` is; there is no database without a pipeline."""
    return Sources(lake_from_environment(os.environ), query=_refuse)


def _refuse(_: str) -> NoReturn:
    raise SettingError("this command reads the Delta table places: name another table in a pipeline file")


def _hint(country: str) -> str:
    similar = suggest(country)
    return f": did you mean {' or '.join(similar)}?" if similar else ""


def _print(provider: str, key: tuple[str, str], location: Location, as_json: bool) -> None:
    answer = {"country": key[0], "postcode": key[1], "provider": provider, **location._asdict()}
    if as_json:
        print(json.dumps(answer))
        return
    for name, value in answer.items():
        print(f"{name:10} {'-' if value is None else value}")


def _fail(failure: Exception, code: int) -> None:
    print(f"geocoders: {failure}", file=sys.stderr)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
