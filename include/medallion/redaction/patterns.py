"""
Redact text: secrets by value and by pattern, personal data by pattern.

Patterns are the second line of defence: they find what looks like a key, an
e-mail address, a postcode or a street address, and also hide some harmless
numbers. The first line of defence is not to put data into a text. A count of
five digits stays readable if it is formatted with `{count:,}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

REDACTED = "***"

_MIN_SECRET_CHARACTERS = 4  # replacing every "1" would make a report unreadable
_NOT_SECRET = frozenset({"true", "false", "none", "null", "airflow"})
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|CREDENTIAL|DSN|PRIVATE|AUTHORIZATION|(^|_)CONN(_|$)", re.IGNORECASE)

_VALUE = r"""(?:"[^"\n]*"|'[^'\n]*'|(?:Bearer |Basic )?[^\s,;&)"'\]}]+)"""
_REST = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\n&;|)"'\]}]{1,200})"""  # an address has blanks and commas
_FIELDS = r"e-?mail|street|city|postal_?code|zip_?code|postcode|address_?lines?|address|components|latlng|place_?id"
_SECRETS = r"[\w-]{0,40}(?:password|passwd|secret|token|credential|authorization|api[_-]?key)\w{0,40}"
_IS = r"['\"]?\s*(?:=|:(?=\s*(?:['\"]|Bearer |Basic |\S*\d|\S{20})))\s*"  # not the colon of a sentence
_STREET = r"street|avenue|ave|road|rd|boulevard|blvd|lane|ln|highway|hwy|parkway|pkwy|terrace|crescent|rue|allée"
_STREET_OR_WORD = r"St|ST|Drive|DRIVE|Dr|DR|Court|COURT|Ct|CT|Place|PLACE|Pl|PL|Way|WAY|Square|Sq|Circle|Trail|Close"
_HOUSE = r"(?<![\w.])\d{1,6}[A-Za-z]?,?\s+(?:[\w.'-]{1,30}\s+){0,4}?"
_POSTCODE = r"(?:post(?:al)?|zip)[ _-]?codes?|zip|plz"

# applied in this order: named and delimited values first
_PATTERNS = tuple(
    (re.compile(shape), replacement)
    for shape, replacement in (
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", REDACTED),
        (r"Failing row contains .*", f"Failing row contains {REDACTED}"),  # Postgres
        (r"\(([^()\n]{1,200})\)=\(.*\)", rf"(\1)=({REDACTED})"),  # Postgres: Key (email)=(...)
        (r"://[^/\s@]{1,300}@", f"://{REDACTED}@"),
        (r"([?&](?!try_number=)[\w.\[\]-]{1,100})=[^\s&#\"'<>)]*", rf"\1={REDACTED}"),
        (r"(?:AIza|AKIA|ASIA|\bsk-|\bgh[a-z]_|\bxox[a-z]-|\beyJ)[\w.-]{8,}", REDACTED),
        (rf"(?i)(?<![\w-])(key|sig|signature)(=){_VALUE}", rf"\1\2{REDACTED}"),
        (rf"(?i)(?<![\w-])({_SECRETS})({_IS}){_VALUE}", rf"\1\2{REDACTED}"),
        (rf"(?i)\b({_FIELDS})(['\"]?\s*[=:]\s*){_REST}", rf"\1\2{REDACTED}"),
        (r"[^\s@<>()\"',;:=/]{1,64}(?:@|%40)[^\s@<>()\"',;/]{1,255}", REDACTED),  # an e-mail
        (rf"(?i){_HOUSE}(?:{_STREET})\b\.?", REDACTED),
        (rf"{_HOUSE}(?:{_STREET_OR_WORD})\b\.?", REDACTED),
        (r"(?i)\b\w{2,40}(?:straße|strasse|str\.|weg|platz|gasse)\s+\d{1,4}\w?\b", REDACTED),
        (r"\b[A-Z]{2}[-/: ]{1,2}\d{4,6}\b", REDACTED),  # US-90210, MA 01001
        (r"(?i)\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b", REDACTED),  # Britain
        (r"(?i)\b[A-Z]\d[A-Z][ -]?\d[A-Z]\d\b", REDACTED),  # Canada
        (rf"(?i)\b({_POSTCODE})\b([^\w\n]{{1,4}}(?:is |of )?['\"]?)(?=\w*\d)[\w-]{{3,10}}", rf"\1\2{REDACTED}"),
        (r"(?<![\w:.,])-?\d{1,3}\.\d{4,}", REDACTED),  # a coordinate
    )
)
_AUTHORITY_OR_ZIP = re.compile(r"(\w{1,20}://[^\s/?#]+|\d:\d+)|(?<![\w.,-])\d{5}(?:-\d{4})?(?![\w-]|[.,]\d)")


def redact_patterns(text: str) -> str:
    """
    Replace everything in a text that looks like a secret or like personal data.

    >>> redact_patterns("no answer from https://user:secret@host/path for ann@example.com")
    'no answer from https://***/path for ***'
    """
    for shape, replacement in _PATTERNS:
        text = shape.sub(replacement, text)
    # a port has five digits too
    return _AUTHORITY_OR_ZIP.sub(lambda match: match[1] or REDACTED, text)


def redact_values(text: str, secrets: Iterable[str]) -> str:
    """
    Replace each of some secrets in a text, including its URL-encoded and escaped forms.

    >>> redact_values("password=p%40ss", ["p@ss"])
    'password=***'
    """
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return text


def secrets_in(environment: Mapping[str, str]) -> frozenset[str]:
    """
    Return the values in `environment` that a report must not show.

    These are the values of variables whose name suggests a secret, and the passwords inside any URL or JSON
    connection, independent of the variable's name.
    """
    found = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    for value in environment.values():
        found.update(_nested_secrets(value))
    return frozenset(v for v in found if len(v) >= _MIN_SECRET_CHARACTERS and v.lower() not in _NOT_SECRET)


def _nested_secrets(value: str) -> Iterator[str]:
    if value.lstrip().startswith("{"):
        try:
            yield from _within_json(json.loads(value))
        except ValueError:
            return
    elif "://" in value:
        yield from _within_url(value)


def _within_json(data: object, name: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _within_json(value, key)
    elif isinstance(data, str):
        if _SECRET_NAME.search(name):
            yield data
        yield from _nested_secrets(data)


def _within_url(value: str) -> Iterator[str]:
    try:
        parts = urlsplit(value)
    except ValueError:
        return
    if parts.password:
        yield unquote(parts.password)
    yield from (item for name, item in parse_qsl(parts.query) if _SECRET_NAME.search(name))


def _forms(secret: str) -> set[str]:
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
    }
