"""Names of countries by their words, from CLDR's languages."""

from __future__ import annotations

import pickle  # nosec B403 # Babel's own data files
import unicodedata
from functools import cache
from importlib import import_module
from pathlib import Path

from include.medallion.config.countries.aliases import (
    ABBREVIATIONS,
    AMBIGUOUS,
    ARTICLES,
    FORMAL,
    NAMES,
    NOT_COUNTRIES,
)

ENGLISH = "en"
COMMON = (
    "ar bg bs ca cs cy da de el es et eu fa fi fil fr ga gl he hi hr hu hy id is it ja ka kk ko lb lt lv mk ms mt "
    "nb nl nn pl pt pt_PT rm ro ru sk sl sq sr sr_Latn sv th tr uk ur vi zh zh_Hant"
)
OTHERS = "*"
"""Languages of which the names are loaded together: English, those of most tables, all the others."""

_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ħ": "h", "ə": "a"}
    | dict.fromkeys("\u2019\u02bc\u02bb\u2018`\u00b4", "'")
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
_ACCENTS = dict.fromkeys(range(0x300, 0x370))
_SHORTEST = {ENGLISH: 3, COMMON: 3, OTHERS: 4}  # Latin letters of a name; "End" and "Sin" are India and China somewhere


def fold(name: str) -> str:
    """Return the words of a name, sorted, without case, accents, punctuation and articles."""
    text = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS)).translate(_ACCENTS)
    if "'" in text:
        text = text.replace("'s ", "s ").replace("'", " ")
    spaced = text if text.isalpha() else "".join(map(_plain, text))
    words = [ABBREVIATIONS.get(word, word) for word in spaced.split()]
    return " ".join(sorted([word for word in words if word not in ARTICLES] or words))


def without_formal(words: str) -> str:
    """Return folded words without those of formal names."""
    return " ".join(word for word in words.split() if word not in FORMAL)


@cache
def ambiguous() -> frozenset[str]:
    """Return the folded names that several countries share."""
    return frozenset(map(fold, AMBIGUOUS))


@cache
def english_names() -> dict[str, str]:
    """Return CLDR's English name of every country, by alpha-2 code."""
    names = _territories(ENGLISH)
    return {code: name for code, name in names.items() if code.isalpha() and code not in NOT_COUNTRIES}


def alpha2_codes() -> frozenset[str]:
    """Return the officially assigned codes of ISO 3166-1, and XK."""
    return frozenset(english_names())


@cache
def by_words(languages: str) -> dict[str, str]:
    """Return the countries by their folded names in some languages; a name of two countries is left out."""
    meanings: dict[str, set[str]] = {}
    for code, name in _names(languages):
        meanings.setdefault(fold(name), set()).add(code)
        if languages != OTHERS:
            meanings.setdefault(fold(name.casefold().translate(_UMLAUTS)), set()).add(code)
    excluded = ambiguous()
    least = _SHORTEST[languages]
    found = {
        words: codes.pop()
        for words, codes in meanings.items()
        if len(codes) == 1 and words not in excluded and (len(words) >= least or not words.isascii())
    }
    return {**found, **_aliases()} if languages == ENGLISH else found


def _names(languages: str) -> set[tuple[str, str]]:
    chosen, known = _others() if languages == OTHERS else languages.split(), alpha2_codes()
    return {(code, name) for language in chosen for code, name in _territories(language).items() if code in known}


def _others() -> list[str]:
    """List the languages, and their scripts, but no variants of single countries."""
    known = import_module("babel.localedata").locale_identifiers()
    scripts = (name for name in known if not any(map(_is_region, name.split("_")[1:])))
    return sorted({*scripts} - {ENGLISH, *COMMON.split()})


def _is_region(subtag: str) -> bool:
    return len(subtag) != 4  # noqa: PLR2004 (a script has four letters)


@cache
def _aliases() -> dict[str, str]:
    return {fold(name): code for code, names in NAMES.items() for name in names.split("|")}


def _territories(language: str) -> dict[str, str]:
    """Return the names of territories in one language: only them, since Babel keeps all it loads for ever."""
    file = Path(import_module("babel.localedata").resolve_locale_filename(language))
    names: dict[str, str] = pickle.loads(file.read_bytes()).get("territories", {})  # noqa: S301 (Babel's) # nosec B301
    return names


def _plain(letter: str) -> str:
    if letter.isalnum() or unicodedata.category(letter)[0] == "M":
        return letter
    return "" if unicodedata.category(letter) == "Cf" else " "
