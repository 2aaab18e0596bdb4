"""
What the name of a column says: postcode, country, or personal data.

Names are split into words at underscores, blanks and capitals: `ShipPostalCode` is `ship postal code`.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_POSTCODES = re.compile(
    r"post(al)?code|postcd|zip(code|5)?|plz|postleitzahl|codepostal|codigopostal|codicepostale|cep|pincode|postnr|"
    r"postnummer|eircode|postal|postalzip"
)
_COUNTRIES = re.compile(
    r"country(code|name|region|regioncode|iso|iso2|iso3)?|isocountry|land|landcode|nation|pays|pais"
)
_MASK_KEY = "{hmac: {environment: MEDALLION_MASK_KEY}}"
"""For values that can be guessed: a plain hash of them can be reversed by trying all."""
_PERSONAL: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (mask, re.compile(words))
    for mask, words in (
        ("keep_domain", r"(.* )?(e ?mail|mail)( ?address)?"),
        (_MASK_KEY, r"(.* )?(tele)?phone( ?number| ?no)?|(.* )?(mobile|cell|fax|tel)( ?phone| ?number| ?no)?"),
        (_MASK_KEY, r"(.* )?(first|last|given|family|middle|maiden|full|contact|nick|birth|legal) ?name|(.* )?surname"),
        (_MASK_KEY, r"(.* )?(ssn|social security( ?number| ?no)?|passport( ?number| ?no)?|iban|tax ?id|vat ?id)"),
        (_MASK_KEY, r"(.* )?(national|identity|id) ?(number|card|document)|(.* )?driv.*licen[cs]e.*"),
        (_MASK_KEY, r"(.* )?(credit ?card|card ?number|account ?number|bank ?account)( ?number| ?no)?"),
        (_MASK_KEY, r"(.* )?(ip|ip ?address|device ?id|mac ?address|user ?name|login( ?name)?)"),
        ('"null"', r"(.* )?(password|passwd|pwd|secret|token|salt|api ?key)( hash| salt)?"),
        (
            '"null"',
            r"(.* )?(birth ?(date|day)|date ?of ?birth|dob|born)|(.* )?(gender|sex|religion|ethnicity|marital ?status)",
        ),
        ('"null"', r"(.* )?(street|street ?address|address)( ?line)?( ?\d)?|(.* )?addr(ess)?( ?line)? ?\d"),
        ('"null"', r"(.* )?(salary|wage|diagnosis)"),
    )
)


def split_words(name: str) -> list[str]:
    """
    Split a column's name into lower-case words.

    >>> split_words("ShipPostalCode"), split_words("zip_code"), split_words("URLPath2")
    (['ship', 'postal', 'code'], ['zip', 'code'], ['url', 'path', '2'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def postcode_prefix(name: str) -> str | None:
    """
    Return what stands before the word for a postcode; None if the name is not one of a postcode.

    >>> (
    ...     postcode_prefix("BillingPostalCode"),
    ...     postcode_prefix("plz"),
    ...     postcode_prefix("zip_file"),
    ...     postcode_prefix("city"),
    ... )
    ('billing', '', None, None)
    """
    return _prefix(name, _POSTCODES)


def country_prefix(name: str) -> str | None:
    """
    Return what stands before the word for a country; None if the name is not one of a country.

    >>> country_prefix("ship_country"), country_prefix("CountryCode"), country_prefix("county")
    ('ship', '', None)
    """
    return _prefix(name, _COUNTRIES)


def personal_mask(name: str) -> str | None:
    """
    Return the mask to suggest for a column that is personal by its name, as the pipeline file takes it; else None.

    >>> (
    ...     personal_mask("EmailAddress"),
    ...     personal_mask("birth_date"),
    ...     personal_mask("email_sent"),
    ...     personal_mask("address_id"),
    ... )
    ('keep_domain', '"null"', None, None)
    """
    text = " ".join(split_words(name))
    return next((mask for mask, pattern in _PERSONAL if pattern.fullmatch(text)), None)


def _prefix(name: str, kind: re.Pattern[str]) -> str | None:
    words = split_words(name)
    for begin in range(len(words)):
        if kind.fullmatch("".join(words[begin:])):
            return "_".join(words[:begin])
    return None
