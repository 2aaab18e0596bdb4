"""
Postcodes to coordinates: one module per provider, one declaration in each (`location.Declaration`).

`open_geocoder` chooses: the pipeline file's `geocoder`, else Google's Geocoding
API if `GOOGLE_API_KEY` is set, else the data that packages ship. The names in
`pipeline_enrich.GeocoderName` are the registry: each is a module of this package.
`python -m include.medallion.geocoders 98052 --country US` asks from a shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import NamedTuple, get_args
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.sections.enrichment import GeocoderName, GeocodeSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders.location import (
    AREA,
    LOCATED,
    Access,
    Declaration,
    Locate,
    LocateAddress,
    LocateMany,
    Location,
    Sources,
    Status,
)
from include.medallion.geocoders.postcodes import is_area, unanswerable, unanswerable_many


class Geocoder(NamedTuple):
    """A chosen provider, ready to be asked."""

    provider: str  # its name in the pipeline file, kept with each answer
    declaration: Declaration
    locate: Locate
    locate_many: LocateMany
    data_version: Callable[[], str | None]  # of data that costs nothing; None: answers expire instead
    locate_address: LocateAddress | None = None  # opened if the settings name columns of an address

    @property
    def metered(self) -> bool:
        """Whether calls go to a provider that counts them: they are paced, bounded, and what they cost is kept."""
        return self.declaration.metered

    @property
    def list_price(self) -> float:
        """US dollars for 1000 calls."""
        return self.declaration.list_price


def declarations() -> dict[str, Declaration]:
    """Return what each geocoder declares of itself, by its name in a pipeline file."""
    return {name: _declaration(name) for name in get_args(GeocoderName)}


def open_geocoder(settings: GeocodeSettings, environ: Mapping[str, str], sources: Sources | None = None) -> Geocoder:
    """
    Open the geocoder that the settings choose.

    Args:
        environ: may hold GOOGLE_API_KEY, and GOOGLE_GEOCODING_URL and GOOGLE_ADDRESS_VALIDATION_URL,
            whole addresses to use instead of Google's.
        sources: where a table of places can be read.

    Raises:
        SettingError: one of these is missing or cannot be right, or answers would be kept longer
            than the provider allows; the setting is named.
    """
    by_key = "google_geocoding" if environ.get("GOOGLE_API_KEY", "").strip() else "offline"
    provider = settings.geocoder or by_key
    declared = _declaration(provider)
    check_terms(provider, settings.keep_days)
    access = _access(provider, declared, settings, environ)._replace(sources=sources)
    locate = answering(declared.open(access))
    many = _answering_many(declared.open_many(access)) if declared.open_many else _one_by_one(locate)
    by_address = _open_address(provider, declared, access, locate) if settings.address else None
    return Geocoder(provider, declared, locate, many, partial(_data_version, declared, access), by_address)


def _open_address(provider: str, declared: Declaration, access: Access, by_postcode: Locate) -> LocateAddress:
    """Open a provider for street addresses; a row without one is looked up by its postcode."""
    if declared.open_address is None:
        able = sorted(name for name, one in declarations().items() if one.open_address)
        raise SettingError(
            f"enrich.geocode.address: {provider} takes postcodes only: remove it, or set geocoder: {' or '.join(able)}"
        )
    locate = declared.open_address(access)
    return lambda country, postcode, address: (
        locate(country, postcode, address) if address else by_postcode(country, postcode)
    )


def answering(locate: Locate) -> Locate:
    """Wrap a provider: keys that need no look-up are answered here, and an area says so as its precision."""

    def located(country: str, postcode: str) -> Location:
        if status := unanswerable(country, postcode):
            return Location(status)
        location = locate(country, postcode)
        area = location.status is Status.OK and is_area(country, postcode)
        return location._replace(precision=AREA) if area else location

    return located


def _answering_many(locate_many: LocateMany) -> LocateMany:
    """Wrap a provider that answers columns: the same, but that it says itself what is an area."""

    def located(countries: pa.Array, postcodes: pa.Array) -> pa.RecordBatch:
        answers = locate_many(countries, postcodes)
        unasked = unanswerable_many(countries, postcodes)
        statuses = pc.coalesce(unasked, answers["status"])
        return answers.set_column(0, LOCATED.field("status"), statuses)

    return located


def _one_by_one(locate: Locate) -> LocateMany:
    def located(countries: pa.Array, postcodes: pa.Array) -> pa.RecordBatch:
        keys = zip(countries.to_pylist(), postcodes.to_pylist(), strict=True)
        answers = [locate(*key)._asdict() for key in keys]
        return pa.RecordBatch.from_pylist(answers, schema=LOCATED)

    return located


def _declaration(provider: str) -> Declaration:
    declared: Declaration = import_module(f"{__name__}.{provider}").GEOCODER  # requests, or the data: what is used
    return declared


def _access(provider: str, declared: Declaration, settings: GeocodeSettings, environ: Mapping[str, str]) -> Access:
    key = environ.get(declared.key_setting, "").strip() if declared.key_setting else ""
    if declared.key_setting:
        _check_key(provider, declared.key_setting, key)
    url = _url(environ, declared.url_setting) if declared.url_setting else ""
    restore = settings.restore_leading_zeros
    return Access(key, url, settings.concurrency, settings.timeout_seconds, settings.table, restore_zeros=restore)


def _data_version(declared: Declaration, access: Access) -> str | None:
    return declared.data_version(access) if declared.data_version else None


def check_terms(provider: str, keep_days: float) -> None:
    """
    Check that a provider's terms let coordinates be kept so long.

    Raises:
        SettingError: names the setting, what is allowed, and where the terms are.
    """
    declared = _declaration(provider)
    if declared.keep_days is not None and keep_days > declared.keep_days:
        raise SettingError(
            f"enrich.geocode.keep_days: coordinates of {provider} may be kept for {declared.keep_days:g} days, not for "
            f"{keep_days:g}: set at most that ({declared.terms})"
        )


def _check_key(provider: str, setting: str, key: str) -> None:
    if not key:
        raise SettingError(
            f"geocoder {provider} needs a key: set {setting}, or choose `geocoder: offline` in the pipeline file"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError(f"{setting} holds characters that no key has: set it to the key alone")


def _url(environ: Mapping[str, str], setting: str) -> str:
    url = environ.get(setting, "").strip()
    if url and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
        raise SettingError(f"{setting} must be a whole address that begins with http:// or https://, or be unset")
    return url
