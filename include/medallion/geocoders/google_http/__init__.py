"""
What the two Google geocoders share: one call, and what its failure means.

No message holds a URL, a header or a word of the answer: the URL carries the
key, and Google's own messages may carry the request.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import requests
import urllib3

from include.medallion.errors import ProviderRefused, Transient
from include.medallion.geocoders.google_http import body
from include.medallion.geocoders.google_http.transport import Adapter

MOST_BYTES = 4 * 1024 * 1024
"""The largest answer that is read; Google's have a few thousand bytes."""

_ANSWERED = {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}
_FORBIDDEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_MAY_PASS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


KEY_SETTING = "GOOGLE_API_KEY"
TERMS = "https://cloud.google.com/maps-platform/terms/maps-service-terms"
KEEP_DAYS = 30
"""Latitudes and longitudes may be cached for up to 30 consecutive calendar days, by TERMS."""


class Api(NamedTuple):
    """How messages name one of Google's services and the setting of its address."""

    name: str
    url_setting: str


class Answer(NamedTuple):
    """An HTTP answer, read to its end."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


def open_session(connections: int) -> requests.Session:
    """Open a session that keeps this many connections alive, for as many threads."""
    session = requests.Session()
    adapter = Adapter(pool_connections=1, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # urllib3 logs the path of each call at DEBUG, and the Geocoding API's path carries the key.
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_without_key)
    return session


def call(api: Api, session: requests.Session, method: str, url: str, *, timeout: float, **request: Any) -> Answer:
    """
    Send one request; the answer is HTTP 200 or 400, with all of its body.

    Args:
        session: of `open_session`, whose connections keep the deadline.
        timeout: seconds for the whole call, from connecting to the body's last byte.

    Raises:
        Transient: no answer in time, half an answer, one of more than MOST_BYTES, 408, 429 or 5xx;
            `retry_after` is Google's.
        ProviderRefused: 401 or 403; anything else means that the address is wrong.
    """
    request["headers"] = {**request.get("headers", {}), "Accept-Encoding": body.ENCODING}
    request["timeout"] = urllib3.Timeout(total=timeout)
    try:
        # A redirect would carry the key to wherever it points.
        with session.request(method, url, allow_redirects=False, stream=True, **request) as response:
            answer = Answer(response.status_code, response.headers, body.read(response, MOST_BYTES))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, body.TooLarge, body.Undecodable) as error:
        failure = type(error).__name__
    else:
        return _judged(api, answer)
    # Raised out here, so that the error that holds the URL is not even its context.
    raise Transient(f"{api.name} did not answer ({failure})")


def document(api: Api, answer: Answer) -> dict[str, Any]:
    """
    Read the body as a JSON object.

    Raises:
        Transient: it is none (a proxy's page, a body cut short).
    """
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Transient(f"{api.name} answered HTTP {answer.status_code} without a JSON object")
    return found


@contextmanager
def documented(api: Api) -> Iterator[None]:
    """Read an answer in this block; one that has a value of another type than Google documents is Transient."""
    try:
        yield
    except (AttributeError, TypeError):
        broken = True
    else:
        broken = False
    if broken:
        raise Transient(f"{api.name} answered something else than it documents")


def refusal(api: Api, word: str) -> ProviderRefused:
    """Say what to check when the key, a right or an allowance is refused; `word` is Google's status."""
    return ProviderRefused(
        f"{api.name} refused the call ({word}): check GOOGLE_API_KEY: that the key is right, that it may use this "
        "API from this host, that the API is enabled in its project, and that billing and daily quota allow it"
    )


def retry_after(answer: Answer) -> float | None:
    """
    Read `Retry-After` (RFC 9110, 10.2.3: seconds or a date) as seconds from now, never negative.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _judged(api: Api, answer: Answer) -> Answer:
    code = answer.status_code
    if code in _ANSWERED:
        return answer
    if code in _FORBIDDEN:
        raise refusal(api, f"HTTP {code}")
    if code in _MAY_PASS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Transient(f"{api.name} answered HTTP {code}", retry_after=retry_after(answer))
    raise ProviderRefused(f"{api.name} answered HTTP {code}: check {api.url_setting}, or unset it to use Google's own")


def _without_key(record: logging.LogRecord) -> bool:
    return "key=" not in record.getMessage()
