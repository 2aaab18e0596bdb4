"""
Any spelling of a country to its ISO 3166-1 alpha-2 code.

Codes (alpha-2, alpha-3, numeric) and names in all languages come from CLDR, as
Babel ships it (https://cldr.unicode.org, https://babel.pocoo.org); `aliases`
adds what people write and CLDR lacks. A name is compared by its words in any
order, without case, accents, punctuation and articles. A name that two
countries share ("Congo", "Korea") is none.

Names are loaded in three steps, each only when the one before has no answer:
English (15 ms), the languages of most tables (0.2 s), all others (0.9 s).
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module

from include.medallion.config.countries import names
from include.medallion.config.countries.aliases import CODES
from include.medallion.config.countries.alpha2 import ALPHA2
from include.medallion.config.countries.names import COMMON, ENGLISH, OTHERS, alpha2_codes, fold

_SPELLINGS = 4096  # that are remembered
_SEPARATORS = re.compile(r"[()\[\]/|;,]|\s[-\u2010-\u2015]\s")
_NUMBER = re.compile(r"(\d{1,3})(?:\.0+)?", re.ASCII)
_INITIALS = re.compile(r"[a-z]{2,4}|(?:[a-z][. ]+){1,4}[a-z]\.?", re.ASCII | re.IGNORECASE)


def to_alpha2(country: object) -> str | None:
    """
    Return the ISO 3166-1 alpha-2 code of a country, however it is spelled.

    Args:
        country: a code (alpha-2, alpha-3, numeric as text or number), a name in any language, or
            both ("United States (US)"). Kosovo, which ISO 3166-1 does not list, is XK.

    Returns:
        None if this is no country, or a name that several countries share.

    Examples:
        >>> [to_alpha2(name) for name in ("usa", "Germany", "Österreich", 276, "Korea, Republic of", "Congo")]
        ['US', 'DE', 'AT', 'DE', 'KR', None]
    """
    return _resolve(str(country))


def suggest(country: object) -> list[str]:
    """Return up to three English names of countries that hold these words or look like them, each with its code."""
    english = {fold(name): f"{name} ({code})" for code, name in names.english_names().items()}
    words = fold(str(country))
    holding = [known for known in english if words and {*words.split()} <= {*known.split()}]
    close = get_close_matches(words, english, n=3, cutoff=0.6)
    return [english[known] for known in [*dict.fromkeys([*holding, *close])][:3]]


@lru_cache(_SPELLINGS)
def _resolve(spelling: str) -> str | None:
    if found := _code(spelling) or _name(spelling):
        return found
    parts = [part for part in _SEPARATORS.split(spelling) if part.strip()]
    if len(parts) < 2:  # noqa: PLR2004 (one part is the whole, which is no name)
        return None
    meanings = {_code(part) or _name(part) for part in parts}
    return meanings.pop() if len(meanings) == 1 else None


def _code(spelling: str) -> str | None:
    text = spelling.strip()
    if number := _NUMBER.fullmatch(text):
        return _codes().get(number[1].zfill(3))
    if not _INITIALS.fullmatch(text):
        return None
    code = re.sub(r"[. ]", "", text).upper()
    return code if code in ALPHA2 else _codes().get(code)  # those take Babel 40 ms to load


def _name(spelling: str) -> str | None:
    words = fold(spelling)
    if not words or words in names.ambiguous():
        return None
    for languages in (ENGLISH, COMMON, OTHERS):
        known = names.by_words(languages)
        if found := known.get(words) or known.get(names.without_formal(words)):
            return found
    return None


@cache
def _codes() -> dict[str, str]:
    """Return alpha-2, alpha-3 and numeric codes, and those that ISO 3166-1 withdrew for a single country."""
    known, withdrawn = alpha2_codes(), import_module("babel.core").get_global("territory_aliases")
    aliases = {old: new[0] for old, new in withdrawn.items() if len(new) == 1}
    return {**{old: new for old, new in aliases.items() if new in known}, **CODES, **{code: code for code in known}}
