"""
One key per real postcode, however it was typed and whichever country was named.

A key is (ISO 3166-1 alpha-2 country, postcode as the postal service writes it). `countries` reads
the country, `text` cleans the postcode, `forms` gives it its country's form, `territories` says
which country of a shared postal system it lies in.

A postcode that does not have its country's form is not repaired. In particular '501' is not
'00501', the code it may have been before a spreadsheet: it is INVALID_POSTCODE, unless the pipeline
sets `restore_leading_zeros`.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.countries import to_alpha2
from include.medallion.geocoders.location import Status
from include.medallion.geocoders.postcodes import forms
from include.medallion.geocoders.postcodes.columns import place_columns, texts_of
from include.medallion.geocoders.postcodes.territories import country_of, members, same_country, system_of
from include.medallion.geocoders.postcodes.text import text_of, tidy

__all__ = [
    "AREAS",
    "UNKNOWN",
    "is_area",
    "normalise",
    "normalise_columns",
    "read_countries",
    "restore_zeros",
    "same_country",
    "same_postcode",
    "system_of",
    "unanswerable",
    "unanswerable_many",
]

Key = tuple[str, str]
AREAS = forms.WITH_AREAS
"""Countries in which a part of a postcode is the code of an area."""
UNKNOWN = "ZZ"
"""Country of a key whose country is missing or is none; CLDR's code for an unknown region."""


def normalise(country: object, postcode: object, default_country: str | None = None) -> Key | None:
    """
    Give the key under which a postcode is looked up, cached and joined.

    Args:
        country: any spelling that `countries.to_alpha2` understands, from a column of text or numbers.
        postcode: from a column of text or numbers.
        default_country: alpha-2 code that takes the place of a missing country, but not of a wrong one.

    Returns:
        None without a postcode. The country is UNKNOWN if it is missing without a default, is no
        country, or is a name that several countries share.

    Raises:
        SettingError: a value is of a type that holds neither postcodes nor countries, such as bytes.

    Examples:
        >>> normalise("Germany", "D-10115"), normalise("USA", 98052.0), normalise("US", "00901-1234")
        (('DE', '10115'), ('US', '98052'), ('PR', '00901'))
    """
    code = tidy(postcode)
    if not code:
        return None
    return _place(_land(text_of(country), default_country), code)


def normalise_columns(
    countries: pa.Array, postcodes: pa.Array, default_country: str | None = None, *, restore: bool = False
) -> tuple[pa.Array, pa.Array]:
    """
    Give the keys of whole columns: the same as `normalise`, and `restore_zeros`, one by one.

    Args:
        countries, postcodes: text or numbers, as many of both.
        default_country: as for `normalise`.
        restore: whether leading zeros are restored.

    Returns:
        Countries and postcodes as text, both null in rows without a postcode.

    Raises:
        SettingError: as `normalise`.
    """
    place = _place_and_restore if restore else _place
    return place_columns(read_countries(countries, default_country), texts_of(postcodes), place)


def read_countries(countries: pa.Array, default_country: str | None = None) -> pa.Array:
    """Return the alpha-2 codes of a column of countries, UNKNOWN where a spelling is none."""
    spelled = pc.fill_null(texts_of(countries), "").dictionary_encode()
    lands = [_land(spelling, default_country) for spelling in spelled.dictionary.to_pylist()]
    return pa.array(lands, pa.string()).take(spelled.indices)


def _land(spelling: str, default_country: str | None) -> str:
    if default_country and not spelling.strip():
        return default_country
    return (to_alpha2(spelling) if spelling else None) or UNKNOWN


def _place(land: str, postcode: str) -> Key | None:
    if not (code := tidy(postcode)):
        return None
    return (land, code) if land == UNKNOWN else _placed(land, code)


def _place_and_restore(land: str, postcode: str) -> Key | None:
    key = _place(land, postcode)
    return restore_zeros(key) if key else None


def restore_zeros(key: Key) -> Key:
    """Return the key of a number that lost one or two leading zeros, any other as it is."""
    country, code = key
    return _placed(country, forms.with_zeros(country, code))


def unanswerable(country: str, postcode: str) -> Status | None:
    """Return the status of a key that no geocoder needs to be asked for; None for all others."""
    if country == UNKNOWN:
        return Status.UNKNOWN_COUNTRY
    return Status.INVALID_POSTCODE if forms.is_short(country, postcode) else None


def unanswerable_many(countries: pa.Array, postcodes: pa.Array) -> pa.Array:
    """Return the status, as text, of those of many keys that no geocoder needs to be asked for; null for all others."""
    digits = pc.match_substring_regex(postcodes, "^[0-9]+$")
    lengths = pc.if_else(digits, pc.utf8_length(postcodes), 0).cast(pa.string())
    kinds = pc.binary_join_element_wise(countries, lengths, ":").dictionary_encode()  # all that the status depends on
    statuses = [_status_of(*kind.split(":")) for kind in kinds.dictionary.to_pylist()]
    return pa.array(statuses, pa.string()).take(kinds.indices)


def _status_of(country: str, digits: str) -> str | None:
    status = unanswerable(country, "1" * int(digits))
    return str(status) if status else None


def is_area(country: str, postcode: str) -> bool:
    """Return whether a postcode stands for an area of many: GB OX1, CA V8P, IE D02, NL 1012."""
    return forms.is_area(country, postcode)


def same_postcode(country: str, one: str, other: str) -> bool:
    """Return whether two spellings in one country are the same postcode."""
    return _compared(country, one) == _compared(country, other)


def _placed(country: str, text: str) -> Key:
    """Give a code its form and the country in which it lies; what has no form stays as it is."""
    if found := forms.formed(country, text):
        return _located(country, found)
    for other in members(country)[1:]:
        if found := forms.prefixed(other, text):
            return _located(other, found)
    return country, text


def _located(country: str, code: str) -> Key:
    system = system_of(country)
    has_own_form = country != system and forms.system_form(country) == country
    return (country if has_own_form else country_of(system, code)), code


def _compared(country: str, code: str) -> str:
    text = tidy(code)
    found = forms.formed(country, text)
    return "".join(filter(str.isalnum, found or text))
