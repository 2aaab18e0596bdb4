"""
One key per real postcode, however it was typed.

The forms are those of the postal services, as the Universal Postal Union lists
them: https://www.upu.int/en/postal-solutions/programmes-services/addressing-solutions
A postcode that does not have its country's form is not repaired: it stays as
it is, and the geocoder says what it thinks of it. So '501' is not '00501', the
code it may have been before a spreadsheet: a guess would be a false location.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_GREAT_BRITAIN = (r"([A-Z]{1,2}\d[A-Z\d]?) ?(\d[A-Z]{2})", "{} {}")
_UNITED_STATES = (r"(\d{5})(?:-|[- ]?\d{4})?", "{}")
_THREE_TWO = (r"(\d{3})[- ]?(\d{2})", "{} {}")

_WRITTEN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("US", "PR", "GU", "VI", "AS", "MP"), _UNITED_STATES),
    **dict.fromkeys(("GB", "JE", "GG", "IM"), _GREAT_BRITAIN),
    **dict.fromkeys(("SE", "CZ", "SK", "GR"), _THREE_TWO),
    "BR": (r"(\d{5})[- ]?(\d{3})", "{}-{}"),
    "CA": (r"([A-Z]\d[A-Z])[- ]?(\d[A-Z]\d)", "{} {}"),
    "IE": (r"([A-Z]\d[\dW])[- ]?([A-Z\d]{4})", "{} {}"),
    "JP": (r"(\d{3})[- ]?(\d{4})", "{}-{}"),
    "MT": (r"([A-Z]{3})[- ]?(\d{4})", "{} {}"),
    "NL": (r"(\d{4})[- ]?([A-Z]{2})", "{} {}"),
    "PL": (r"(\d{2})[- ]?(\d{3})", "{}-{}"),
    "PT": (r"(\d{4})[- ]?(\d{3})", "{}-{}"),
}
_FORMS = {country: (re.compile(pattern, re.ASCII), form.format) for country, (pattern, form) in _WRITTEN.items()}

_COUNTRIES = 1024  # spellings of countries that are remembered

# The codes that people write and ISO 3166-1 does not have.
_ISO = {"UK": "GB", "EL": "GR"}

# Territories with a code of their own whose postcodes are the other country's:
# a provider may name either.
_SERVED_BY = {
    "US": frozenset({"PR", "GU", "VI", "AS", "MP", "UM"}),
    "GB": frozenset({"JE", "GG", "IM"}),
    "FR": frozenset({"GP", "MQ", "GF", "RE", "YT", "PM", "BL", "MF", "NC", "PF", "WF"}),
    "FI": frozenset({"AX"}),
    "NO": frozenset({"SJ"}),
}


def normalise(country: str | None, postcode: str | None) -> tuple[str, str] | None:
    """
    Give the key under which this postcode is looked up, cached and joined.

    None if either is missing or blank. A country that is no two-letter code is
    kept, upper-cased: the geocoder decides what it is worth.
    """
    land, code = _land(country), _tidy(postcode)
    return (land, _formed(land, code)) if land and code else None


def same_postcode(country: str, one: str, other: str) -> bool:
    """Tell whether both are one postcode: spaces, hyphens and the country's own prefix (LV-1010) do not count."""
    return _bare(country, one) == _bare(country, other)


def same_country(asked: str, answered: str) -> bool:
    """Tell whether a result in `answered` is one for `asked`: US 00901 lies in Puerto Rico, PR, and is right."""
    return (
        asked == answered or answered in _SERVED_BY.get(asked, frozenset()) or asked in _SERVED_BY.get(answered, set())
    )


@lru_cache(_COUNTRIES)
def _land(country: str | None) -> str:
    land = _tidy(country)
    return _ISO.get(land, land)


def _tidy(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFKC", text or "").upper().split())


def _formed(country: str, code: str) -> str:
    if country not in _FORMS:
        return code
    pattern, form = _FORMS[country]
    match = pattern.fullmatch(code)
    return form(*match.groups()) if match else code


def _bare(country: str, code: str) -> str:
    letters = re.sub(r"[\s-]", "", _formed(country, _tidy(code)))
    rest = letters.removeprefix(country)
    return rest if rest.isdigit() else letters
