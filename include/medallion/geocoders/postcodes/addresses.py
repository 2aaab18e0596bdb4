"""One key per street address, however it was typed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from include.medallion.geocoders.postcodes.text import text_of, tidy

LINE = "\n"
"""Between the lines of a normalised address."""
_PUNCTUATION = re.compile(r"(?<!\d)[.,;]|[.,;](?!\d)")  # between digits it tells numbers apart: "1.5 Mile Road"


def normalise_address(parts: Iterable[object]) -> str:
    """
    Return the lines of an address: upper case, without invisible characters and needless punctuation.

    Nothing is abbreviated, expanded or left out, so two addresses that differ in a letter or digit stay two.

    Args:
        parts: values of columns, such as street, city and state, each of one or more lines; empty lines are left out.

    Raises:
        SettingError: a value is of a type that holds no text, such as bytes.

    Examples:
        >>> normalise_address(["1 Microsoft  Way.", "Redmond,", None, "wa"]).split(LINE)
        ['1 MICROSOFT WAY', 'REDMOND', 'WA']
    """
    lines = (line for part in parts for line in text_of(part).splitlines())
    texts = (" ".join(_PUNCTUATION.sub(" ", tidy(line)).split()) for line in lines)
    return LINE.join(text for text in texts if text)
