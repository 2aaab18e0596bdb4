"""
What the two Google geocoders share: one call, and what its failure means.

No message holds a URL, a header or a word of the answer: the URL carries the
key, and Google's own messages may carry the request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import requests

from include.medallion.errors import ProviderRefused, Transient

_ANSWERED = {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}
_FORBIDDEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_MAY_PASS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Api(NamedTuple):
    """How messages name one of Google's services and the setting of its address."""

    name: str
    url_setting: str


def open_session(connections: int) -> requests.Session:
    """Open a session that keeps this many connections alive, for as many threads."""
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # urllib3 logs the path of each call at DEBUG, and the Geocoding API's path carries the key.
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_without_key)
    return session


def call(api: Api, session: requests.Session, method: str, url: str, **request: Any) -> requests.Response:
    """
    Send one request; the response is HTTP 200 or 400, read to its end.

    Raises:
        Transient: no answer, half an answer, 408, 429 or 5xx; `retry_after` is Google's.
        ProviderRefused: 401 or 403; anything else means that the address is wrong.
    """
    try:
        # A redirect would carry the key to wherever it points.
        response = session.request(method, url, allow_redirects=False, **request)
    except requests.RequestException as error:
        failure = type(error).__name__
    else:
        return _judged(api, response)
    # Raised out here, so that the error that holds the URL is not even its context.
    raise Transient(f"{api.name} did not answer ({failure})")


def document(api: Api, response: requests.Response) -> dict[str, Any]:
    """
    Read the body as a JSON object.

    Raises:
        Transient: it is none (a proxy's page, a body cut short).
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Transient(f"{api.name} answered HTTP {response.status_code} without a JSON object")
    return body


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


def retry_after(response: requests.Response) -> float | None:
    """
    Read `Retry-After` (RFC 9110, 10.2.3: seconds or a date) as seconds from now, never negative.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _judged(api: Api, response: requests.Response) -> requests.Response:
    code = response.status_code
    if code in _ANSWERED:
        return response
    if code in _FORBIDDEN:
        raise refusal(api, f"HTTP {code}")
    if code in _MAY_PASS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Transient(f"{api.name} answered HTTP {code}", retry_after=retry_after(response))
    raise ProviderRefused(f"{api.name} answered HTTP {code}: check {api.url_setting}, or unset it to use Google's own")


def _without_key(record: logging.LogRecord) -> bool:
    return "key=" not in record.getMessage()
