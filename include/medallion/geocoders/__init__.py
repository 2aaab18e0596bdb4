"""
Postcodes to coordinates: one module per provider, one protocol (`location.Locate`).

`open_geocoder` chooses: the pipeline file's `geocoder`, else Google's Geocoding
API if `GOOGLE_API_KEY` is set, else the data that packages ship.
`python -m include.medallion.geocoders 98052 --country US` asks from a shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple
from urllib.parse import urlsplit

from include.medallion.config.enrichment import GeocodeSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders.location import AREA, Locate, Location
from include.medallion.geocoders.postcodes import is_area, unanswerable

_GOOGLE = {"google_geocoding", "google_address_validation"}


class Geocoder(NamedTuple):
    """A chosen provider, ready to be asked."""

    provider: str  # its name in the pipeline file, kept with each answer
    locate: Locate
    metered: bool  # calls go to a provider that counts them: pace them, bound them, keep what they cost
    list_price: float = 0.0  # US dollars for 1000 calls


def open_geocoder(settings: GeocodeSettings, environ: Mapping[str, str]) -> Geocoder:
    """
    Open the geocoder that the settings choose.

    `environ` may hold GOOGLE_API_KEY, and GOOGLE_GEOCODING_URL and
    GOOGLE_ADDRESS_VALIDATION_URL, whole addresses to use instead of Google's.

    Raises:
        SettingError: one of these is missing or cannot be right; it is named.
    """
    key = environ.get("GOOGLE_API_KEY", "").strip()
    provider = settings.geocoder or ("google_geocoding" if key else "offline")
    module = import_module(f"{__name__}.{provider}")  # requests, or the postcode data: only what is used
    if provider not in _GOOGLE:
        return Geocoder(provider, answering(module.locate), metered=False)
    _check_key(provider, key)
    url = _url(environ, module.API.url_setting) or module.URL
    session = module.google_http.open_session(settings.concurrency)
    locate = module.geocoder(session, key, url, settings.timeout_seconds)
    return Geocoder(provider, answering(locate), metered=True, list_price=module.LIST_PRICE)


def answering(locate: Locate) -> Locate:
    """Wrap a provider: keys that need no look-up are answered here, and an area says so as its precision."""

    def located(country: str, postcode: str) -> Location:
        if status := unanswerable(country, postcode):
            return Location(status)
        location = locate(country, postcode)
        return location._replace(precision=AREA) if location.precision and is_area(country, postcode) else location

    return located


def _check_key(provider: str, key: str) -> None:
    if not key:
        raise SettingError(
            f"geocoder {provider} needs a key: set GOOGLE_API_KEY, or choose `geocoder: offline` in the pipeline file"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError("GOOGLE_API_KEY holds characters that no key has: set it to the key alone")


def _url(environ: Mapping[str, str], setting: str) -> str:
    url = environ.get(setting, "").strip()
    if url and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
        raise SettingError(f"{setting} must be a whole address that begins with http:// or https://, or be unset")
    return url
