"""
Keys of whole columns: a postcode that is written as its service writes it needs no Python of its own.

Most columns hold such postcodes. Every other spelling is normalised alone, each distinct one once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.geocoders.postcodes import forms
from include.medallion.geocoders.postcodes.territories import starts_of_members, system_of
from include.medallion.geocoders.postcodes.text import text_of

_ZIP_PLUS_4 = (r"^([0-9]{5})[- ]?[0-9]{4}$", r"\1")
Place = Callable[[str, str], tuple[str, str] | None]
"""Makes the key of one postcode: (alpha-2 country, postcode as it is written); None without a postcode."""


def texts_of(values: pa.Array) -> pa.Array:
    """
    Return a column as text, as `text_of` does.

    Raises:
        SettingError: its type is one that no postcode and no country has.
    """
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.string())
    encoded = values.dictionary_encode()
    texts = [text_of(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def place_columns(countries: pa.Array, postcodes: pa.Array, place: Place) -> tuple[pa.Array, pa.Array]:
    """
    Return the country and the postcode of each row's key, null in rows without a postcode.

    Args:
        countries: alpha-2 codes, without nulls.
        postcodes: as many texts, as they are written.
        place: makes the key of what is not written in its usual form.
    """
    texts = _without_plus_4(countries, pc.utf8_trim_whitespace(postcodes))
    unusual = pa.array(~_are_usual(countries, texts))
    if not pc.any(unusual).as_py():
        return countries, texts
    pairs = list(zip(countries.filter(unusual).to_pylist(), postcodes.filter(unusual).to_pylist(), strict=True))
    keys = {pair: place(*pair) if pair[1] is not None else None for pair in set(pairs)}
    found = [keys[pair] or (None, None) for pair in pairs]
    return (
        pc.replace_with_mask(countries, unusual, pa.array([country for country, _ in found], pa.string())),
        pc.replace_with_mask(texts, unusual, pa.array([code for _, code in found], pa.string())),
    )


def _without_plus_4(countries: pa.Array, texts: pa.Array) -> pa.Array:
    """Return texts in which a ZIP+4 of the US is its ZIP: the one long form that whole columns have."""
    return pc.if_else(pc.equal(countries, "US"), pc.replace_substring_regex(texts, *_ZIP_PLUS_4), texts)


def _are_usual(countries: pa.Array, texts: pa.Array) -> np.ndarray:
    """Return which postcodes are their own key: written as the service of the country does, and in this country."""
    encoded, usual = countries.dictionary_encode(), np.zeros(len(texts), bool)
    numbers = encoded.indices.to_numpy(zero_copy_only=False)
    for number, country in enumerate(encoded.dictionary.to_pylist()):
        if patterns := _patterns(country):
            rows = np.flatnonzero(numbers == number)
            usual[rows] = _match(texts.take(pa.array(rows)), *patterns)
    return usual


def _match(texts: pa.Array, written: str, elsewhere: str | None) -> np.ndarray:
    matching = pc.match_substring_regex(texts, written)
    if elsewhere:
        matching = pc.and_not(matching, pc.match_substring_regex(texts, elsewhere))
    result: np.ndarray = pc.fill_null(matching, fill_value=False).to_numpy(zero_copy_only=False)
    return result


@cache
def _patterns(country: str) -> tuple[str, str | None] | None:
    """Return a pattern of the usual postcodes, and one of those among them that lie in another country."""
    written = forms.written_forms(country) if system_of(country) == country else ()
    return (f"^(?:{'|'.join(written)})$", starts_of_members(country)) if written else None
