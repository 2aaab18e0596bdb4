"""The text of a postcode or a country, for columns of any type and any spelling."""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal

from include.medallion.errors import SettingError

# Dashes that are no dash punctuation (Pd) in Unicode, or only look like dashes: minus signs, the
# Japanese mark of a long vowel, the digit one in Chinese characters, and lines of box drawings.
_DASHES = "\u02d7\u2043\u2212\u2796\u2500\u2501\u30fc\u4e00\u00b7\u30fb"
_BLANKS = "\u2800\u3164\u115f\u1160\uffa0"  # letters and symbols without ink
_POSTAL_MARKS = "\u3012\u3020\u3036"  # signs of the Japanese post before a code
_TRAILING_ZEROS = re.compile(r"(\d+)[.,]0+", re.ASCII)


def text_of(value: object) -> str:
    """
    Return a column's value as text; empty for null and NaN.

    A whole number loses its ".0". Nothing is invented: a number has no leading zeros.

    Raises:
        SettingError: the value is of a type that no postcode and no country has.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise SettingError(
            f"enrich.geocode: a column of type {type(value).__name__} holds neither postcodes nor countries: "
            "choose a column of text or numbers, or cast it in a view"
        )
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else str(value)


def tidy(value: object) -> str:
    """
    Return upper-case text with plain dashes, single spaces and ASCII digits, without invisible characters.

    A number that a spreadsheet or a float column wrote as 98052.0 is 98052.

    Raises:
        SettingError: as `text_of`.
    """
    text = text_of(value)
    if text.isascii():
        if text.isalnum():  # most are tidy already
            return text.upper()
    else:
        text = "".join(map(_plain, unicodedata.normalize("NFKC", text)))
    text = " ".join(text.upper().split())
    if whole := _TRAILING_ZEROS.fullmatch(text):
        return whole[1]
    return text if any(map(str.isalnum, text)) else ""


def _plain(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Pd" or character in _DASHES:
        return "-"
    if category in {"Cf", "Mn", "Me"} or character in _POSTAL_MARKS:
        return ""
    if character in _BLANKS or category[0] == "Z":
        return " "
    return str(unicodedata.decimal(character)) if category == "Nd" else character
