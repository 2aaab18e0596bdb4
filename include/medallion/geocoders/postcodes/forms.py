"""
The forms in which postal services write their codes.

https://www.upu.int/en/postal-solutions/programmes-services/addressing-solutions
A code is compared with its country's forms without spaces and punctuation, and written as the
service writes it. An area is a code that stands for many others: the outward part of a British
postcode, the first half of a Canadian one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from include.medallion.config.countries import to_alpha2
from include.medallion.geocoders.postcodes.territories import STATES, system_of

_DIGITS = {
    3: "FO GN IS LS MG OM PG TW",
    4: "AF AL AM AR AT AU BD BE BG CH CV CY DK ET GE GW HU LB LR LU MK MZ NE NO NZ PA PH PY SV SI TN VE ZA",
    5: "BA BT CR CU DE DO DZ EE EG ES FI FR GT HN HR ID IL IQ IT JO KE KH KR KW LA LK LT MA ME MM MN MU MV MX MY NA NI "
    "NP PE PK RS SD SN SS TH TR TW TZ UA UY VN XK ZM",
    6: "BY CN CO EC IN KG KH KZ MN NG RO RU SG TJ TM TT TW UZ VN",
    7: "CL IL EG CV",
    10: "IR",
}
_THREE_TWO = (r"(\d{3})(\d{2})", "{} {}")
_GREAT_BRITAIN = r"([A-Z]{1,2}\d[A-Z\d]?|GIR|ASCN|BBND|BIQQ|FIQQ|PCRN|SIQQ|STHL|TDCU|TKCA)(\d[A-Z]{2})"

_WRITTEN: dict[str, list[tuple[str, str]]] = {
    **{country: [_THREE_TWO] for country in ("SE", "CZ", "SK", "GR")},
    "AD": [(r"(?:AD)?(\d{3})", "AD{}")],
    "AI": [(r"(?:AI)?(2640)", "AI-{}")],
    "AR": [(r"[A-Z](\d{4})", "{}"), (r"([A-Z]\d{4}[A-Z]{3})", "{}")],
    "AZ": [(r"(?:AZ)?(\d{4})", "AZ{}")],
    "BB": [(r"(?:BB)?(\d{5})", "BB{}")],
    "BM": [(r"([A-Z]{2})([A-Z\d]{2})", "{} {}")],
    "BN": [(r"([A-Z]{2}\d{4})", "{}")],
    "BR": [(r"(\d{5})(\d{3})", "{}-{}")],
    "CA": [(r"([A-Z]\d[A-Z])(\d[A-Z]\d)", "{} {}")],
    "GB": [(_GREAT_BRITAIN, "{} {}")],
    "HT": [(r"(?:HT)?(\d{4})", "HT{}")],
    "IE": [(r"([A-Z]\d[\dW])([A-Z\d]{4})", "{} {}")],
    "JP": [(r"(\d{3})(\d{4})", "{}-{}")],
    "KR": [(r"(\d{3})(\d{3})", "{}-{}")],
    "KY": [(r"(?:KY)?(\d)(\d{4})", "KY{}-{}")],
    "LB": [(r"(\d{4})(\d{4})", "{} {}")],
    "LC": [(r"(?:LC)?(\d{2})(\d{3})", "LC{} {}")],
    "LV": [(r"(?:LV)?(\d{4})", "LV-{}")],
    "MD": [(r"(?:MD)?(\d{4})", "MD-{}")],
    "MS": [(r"(?:MSR)?(\d{4})", "MSR{}")],
    "MT": [(r"([A-Z]{3})(\d{4})", "{} {}")],
    "NL": [(r"(\d{4})([A-Z]{2})", "{} {}")],
    "PL": [(r"(\d{2})(\d{3})", "{}-{}")],
    "PT": [(r"(\d{4})(\d{3})", "{}-{}")],
    "SA": [(r"(\d{5})(?:\d{4})?", "{}")],
    "SZ": [(r"([A-Z]\d{3})", "{}")],
    "US": [(r"(\d{5})(?:\d{4})?", "{}")],
    "VC": [(r"(?:VC)?(\d{4})", "VC{}")],
    "VG": [(r"(?:VG)?(\d{4})", "VG{}")],
    "WS": [(r"(?:WS)?(\d{4})", "WS{}")],
}
_AREAS = {
    country: re.compile(pattern, re.ASCII)
    for country, pattern in {
        "BM": r"[A-Z]{2}",
        "BR": r"\d{5}",
        "CA": r"[A-Z]\d[A-Z]",
        "GB": r"[A-Z]{1,2}\d[A-Z\d]?",
        "IE": r"[A-Z]\d[\dW]",
        "JP": r"\d{3}",
        "MT": r"[A-Z]{3}",
        "NL": r"\d{4}",
        "PT": r"\d{4}",
    }.items()
}
WITH_AREAS = frozenset(_AREAS)
# A British sector, "OX1 2", has the letters and digits of another outward code, "OX12": its space counts.
_SECTOR = re.compile(r"([A-Z]{1,2}\d[A-Z\d]?)[ -](\d)", re.ASCII)

_SHORT_PLUS_4 = re.compile(r"(\d{5})[ -]\d{1,3}", re.ASCII)  # "94040-111": the ZIP is whole, its add-on is not

_PUNCTUATION = re.compile(r"[\W_]")

# Signs of vehicles, where they are not the alpha-2 code: https://unece.org/DAM/trans/conventn/Distsigns.pdf
_SIGN_PAIRS = (
    "AT:A AU:AUS BA:BIH BE:B CA:CDN DE:D EE:EST ES:E FI:FIN FR:F GB:UK GL:KN HU:H IE:IRL IT:I JP:J LI:FL LU:L ME:MNE "
    "NO:N PT:P RS:SRB RU:RUS SE:S SG:S SI:SLO SM:RSM US:USA VA:V"
)
_SIGNS = dict(pair.split(":") for pair in _SIGN_PAIRS.split())
_WORDS = ("ZIPCODE", "ZIP", "PLZ", "CEP", "CP", "CAP", "PINCODE", "PIN", "POSTCODE")
_GAP = re.compile(r"(?<=[^\W\d])[ .,:-]+(?=\w)")
_LOST = 2  # leading zeros that a code may have lost: 00501 is 501


def formed(country: str, text: str) -> str | None:
    """Return tidied text in one of the country's forms, with or without a prefix ("D-"), or None."""
    return _bare(system_form(country), text) or prefixed(country, text)


def prefixed(country: str, text: str) -> str | None:
    """Return what follows a prefix of this country in one of the country's forms; None without the prefix."""
    form = system_form(country)
    starts = (country, _SIGNS.get(country, country), *_WORDS)
    rests = (text.removeprefix(start).strip(" -.:") for start in starts if text.startswith(start))
    return next((found for rest in (*rests, *_after_name(country, text)) if (found := _bare(form, rest))), None)


def _after_name(country: str, text: str) -> Iterator[str]:
    """Yield what follows a name of the country, or of one of its states: "WA 98052", "Singapore 018956"."""
    for gap in _GAP.finditer(text):
        start = text[: gap.start()]
        if start in STATES.get(system_of(country), ()) or to_alpha2(start) == country:
            yield text[gap.end() :]


@cache
def system_form(country: str) -> str:
    """Return the country whose forms this one's codes have: its own, or those of its postal system."""
    return country if country in _FORMS else system_of(country)


def written_forms(country: str) -> tuple[str, ...]:
    """Return patterns of a country's codes as its postal service writes them, in the syntax of RE2."""
    digits = (rf"[0-9]{{{n}}}" for n, countries in _DIGITS.items() if country in countries.split())
    written = (_as_written(pattern, form) for pattern, form in _WRITTEN.get(country, ()))
    return (*digits, *written)


def _as_written(pattern: str, form: str) -> str:
    """Return the pattern of the codes that a form makes of what a pattern matches."""
    groups = (f"(?:{group})" for group in re.findall(r"\((?!\?)([^()]*)\)", pattern))
    return form.format(*groups)


def is_short(country: str, code: str) -> bool:
    """Return whether a code is a number that lacks digits of its country's codes, such as leading zeros."""
    return code.isdigit() and code.isascii() and lacking(country, len(code)) > 0


def with_zeros(country: str, code: str) -> str:
    """Return a code that lacks one or two digits with leading zeros, any other as it is."""
    missing = lacking(country, len(code)) if is_short(country, code) else 0
    return code.zfill(len(code) + missing) if missing <= _LOST else code


@cache
def lacking(country: str, digits: int) -> int:
    """Count what a number lacks of its country's shortest codes, or one or two digits of longer ones; 0 for a code."""
    lengths = _lengths(system_form(country))
    if not lengths or formed(country, "1" * digits):
        return 0
    missing = min((length - digits for length in lengths if length > digits), default=0)
    return missing if missing <= _LOST or digits < lengths[0] else 0


def is_area(country: str, code: str) -> bool:
    """Return whether a code stands for an area of many."""
    form = system_form(country)
    return form in _AREAS and not _whole(form, _letters(code)) and _area(form, code, _letters(code)) is not None


def _bare(form: str, text: str) -> str | None:
    if form == "US" and (whole := _SHORT_PLUS_4.fullmatch(text)):
        return whole[1]
    letters = _letters(text)
    return _whole(form, letters) or (_area(form, text, letters) if form in _AREAS else None)


def _whole(form: str, letters: str) -> str | None:
    for pattern, written in _FORMS.get(form, ()):
        if match := pattern.fullmatch(letters):
            return written(*match.groups())
    return None


def _area(form: str, text: str, letters: str) -> str | None:
    if form == "GB" and (sector := _SECTOR.fullmatch(text)):
        return f"{sector[1]} {sector[2]}"
    return letters if _AREAS[form].fullmatch(letters) else None


def _letters(text: str) -> str:
    return text if text.isalnum() else _PUNCTUATION.sub("", text)


def _compiled() -> dict[str, list[tuple[re.Pattern[str], Callable[..., str]]]]:
    digits = [(country, (rf"(\d{{{n}}})", "{}")) for n, countries in _DIGITS.items() for country in countries.split()]
    written = [(country, form) for country, forms in _WRITTEN.items() for form in forms]
    found: dict[str, list[tuple[re.Pattern[str], Callable[..., str]]]] = {}
    for country, (pattern, form) in (*digits, *written):
        found.setdefault(country, []).append((re.compile(pattern, re.ASCII), form.format))
    return found


@cache
def _lengths(country: str) -> tuple[int, ...]:
    """Return the numbers of digits that codes of this country may have; none where codes have letters, too."""
    return tuple(n for n in range(1, 11) if any(p.fullmatch("1" * n) for p, _ in _FORMS.get(country, ())))


_FORMS = _compiled()
