"""
Territories whose postcodes belong to another country's postal system.

https://www.upu.int/en/postal-solutions/programmes-services/addressing-solutions (the sheets of
the Universal Postal Union name the territories that each designated operator serves)

A postcode of such a system is one place, whichever of its countries a row or a provider names:
(US, 00901) and (PR, 00901) are the same. The key has the territory that the code itself belongs to
(PR), and where the code does not tell, the country that runs the system.
"""

from __future__ import annotations

import re

SYSTEMS = {
    "AU": ("CC", "CX", "HM", "NF"),
    "CH": ("LI",),
    "DK": ("FO", "GL"),
    "FI": ("AX",),
    "FR": ("BL", "GF", "GP", "MC", "MF", "MQ", "NC", "PF", "PM", "RE", "TF", "WF", "YT"),
    "GB": ("AQ", "FK", "GG", "GI", "GS", "IM", "IO", "JE", "PN", "SH", "TC"),
    "IT": ("SM", "VA"),
    "MA": ("EH",),
    "NL": ("AW", "BQ", "CW", "SX"),
    "NO": ("BV", "SJ"),
    "NZ": ("CK", "NU", "TK"),
    "US": ("AS", "FM", "GU", "MH", "MP", "PR", "PW", "UM", "VI"),
}
"""The countries that run a postal system, with the others that it serves; Spain's IC and EA are ES already."""

_STARTS = {
    "AU": "CC:6799 CX:6798 NF:2899",
    "CH": "LI:9485,9486,9487,9488,9489,949",
    "DK": "GL:39",
    "FI": "AX:22",
    "FR": "BL:97133,977 MF:97150,978 GF:973 GP:971 MC:980 MQ:972 NC:988 PF:987 PM:975 RE:974 TF:984 WF:986 YT:976",
    "GB": "AQ:BIQQ FK:FIQQ GG:GY GI:GX11 GS:SIQQ IM:IM IO:BBND JE:JE PN:PCRN SH:STHL,ASCN,TDCU TC:TKCA",
    "IT": "SM:4789 VA:00120",
    "NO": "SJ:917,8099",
    "US": "AS:96799 FM:96941,96942,96943,96944 GU:9691,9692,96930,96931,96932 MH:96960,96970 MP:9695 "
    "PR:006,007,009 PW:96939,96940 UM:96898 VI:008",
}
"""How the codes of each served territory begin; the first that fits counts."""

_STATES = {
    "AU": "ACT NSW NT QLD SA TAS VIC WA",
    "CA": "AB BC MB NB NL NS NT NU ON PE QC SK YT",
    "US": "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH "
    "OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY AS FM GU MH MP PR PW VI AA AE AP",
}
STATES = {country: frozenset(states.split()) for country, states in _STATES.items()}
"""States and provinces that people write before a postcode: "WA 98052"."""

_SYSTEM_OF = {member: system for system, members in SYSTEMS.items() for member in (system, *members)}


def _one_pattern(starts: str) -> re.Pattern[str]:
    """Match the starts of codes: the name of the group that matches is the territory."""
    pairs = (pair.split(":") for pair in starts.split())
    return re.compile("|".join(f"(?P<{territory}>{start.replace(',', '|')})" for territory, start in pairs))


_BY_START = {system: _one_pattern(starts) for system, starts in _STARTS.items()}


def starts_of_members(system: str) -> str | None:
    """Return a pattern of the codes of a system that lie in another country than the one that runs it."""
    return f"^(?:{_BY_START[system].pattern})" if system in _BY_START else None


def system_of(country: str) -> str:
    """Return the country that runs the postal system of this one: most run their own."""
    return _SYSTEM_OF.get(country, country)


def members(country: str) -> tuple[str, ...]:
    """Return all countries of this one's postal system, itself first."""
    system = system_of(country)
    return (country, *(member for member in (system, *SYSTEMS.get(system, ())) if member != country))


def country_of(system: str, code: str) -> str:
    """Return the country in which a postcode of a system lies, as far as the code says."""
    found = _BY_START[system].match(code) if system in _BY_START else None
    return (found and found.lastgroup) or system


def same_country(asked: str, answered: str) -> bool:
    """
    Return whether a result in `answered` may be one for `asked`.

    True within one postal system: a provider may give MH as the country of US 96960. Compare the postcodes, too.
    """
    return system_of(asked) == system_of(answered)
