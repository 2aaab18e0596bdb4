"""
Google's Geocoding API, version 3: a postcode by component filter.

https://developers.google.com/maps/documentation/geocoding/requests-geocoding
(statuses, component filtering). The filters are matched with spelling
correction and partial matches, so a result is only taken where it repeats what
was asked, whatever its `partial_match` says. Of the results whose `country`
component is the country asked (none, but others: WRONG_COUNTRY) and whose
`postal_code` component is the postcode asked (none: ZERO_RESULTS), it is the
first of type `postal_code`, else the first. A postcode of several localities
(`postcode_localities`) is one result, whose coordinate is the postcode's own.
A result without a usable coordinate is ZERO_RESULTS too: the row must not wait for Google to mend it,
and it is asked again when that answer expires.

The radius is the distance to the farthest corner of `bounds`, which hold the whole postcode, or
else of the recommended `viewport`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from include.medallion.errors import Transient
from include.medallion.geocoders import google_http
from include.medallion.geocoders.coordinates import radius, usable
from include.medallion.geocoders.location import Access, Declaration, Locate, Location, Status
from include.medallion.geocoders.postcodes import same_country, same_postcode

URL = "https://maps.googleapis.com/maps/api/geocode/json"
API = google_http.Api("Google's Geocoding API", "GOOGLE_GEOCODING_URL")

_POSTCODES = ("postal_code", "postal_code_prefix")
_ANSWERS = {"OK", "ZERO_RESULTS"}
_REFUSALS = {"REQUEST_DENIED", "OVER_DAILY_LIMIT"}
_PASSING = {"OVER_QUERY_LIMIT", "UNKNOWN_ERROR"}


def geocoder(session: requests.Session, key: str, url: str = URL, timeout: float = 10) -> Locate:
    """Give a `Locate` over this session; `timeout` in seconds, of a whole call."""

    def locate(country: str, postcode: str) -> Location:
        if not set("|:").isdisjoint(country + postcode):  # they would end the filter and begin another
            return Location(Status.INVALID_REQUEST)
        parameters = {"components": f"postal_code:{postcode}|country:{country}", "key": key}
        answer = google_http.call(API, session, "GET", url, params=parameters, timeout=timeout)
        with google_http.documented(API):
            return _answer(country, postcode, answer)

    return locate


def _answer(country: str, postcode: str, answer: google_http.Answer) -> Location:
    body = google_http.document(API, answer)
    status = body.get("status")
    if status == "INVALID_REQUEST":
        return Location(Status.INVALID_REQUEST)
    if status in _REFUSALS:
        raise google_http.refusal(API, status)
    if status in _ANSWERS:
        return _best(country, postcode, body.get("results") or [])
    word = status if status in _PASSING else "a status that it does not document"
    raise Transient(f"{API.name} answered {word}", retry_after=google_http.retry_after(answer))


def _best(country: str, postcode: str, results: list[dict[str, Any]]) -> Location:
    here = [r for r in results if any(same_country(country, name) for name in _names(r, "country"))]
    if not here:
        return Location(Status.WRONG_COUNTRY if results else Status.ZERO_RESULTS)
    found = [r for r in here if any(same_postcode(country, postcode, n) for n in _names(r, *_POSTCODES))]
    if not found:
        return Location(Status.ZERO_RESULTS)
    return _location(min(found, key=lambda r: "postal_code" not in (r.get("types") or ())))


def _names(result: dict[str, Any], *kinds: str) -> Iterator[str]:
    for component in result.get("address_components") or ():
        if not {*kinds}.isdisjoint(component.get("types") or ()):
            yield from (component[n].upper() for n in ("short_name", "long_name") if n in component)


def _location(result: dict[str, Any]) -> Location:
    geometry = result.get("geometry") or {}
    point = geometry.get("location") or {}
    place = usable(point.get("lat"), point.get("lng"))
    if place is None:
        return Location(Status.ZERO_RESULTS)
    metres = _radius(place, geometry.get("bounds") or geometry.get("viewport") or {})
    return Location(Status.OK, *place, geometry.get("location_type"), result.get("place_id"), metres)


def _radius(place: tuple[float, float], box: dict[str, Any]) -> float | None:
    corners = (box.get("southwest") or {}, box.get("northeast") or {})
    return radius(place, *((corner.get("lat"), corner.get("lng")) for corner in corners))


def _open(access: Access) -> Locate:
    return geocoder(google_http.open_session(access.connections), access.key, access.url or URL, access.timeout)


GEOCODER = Declaration(
    open=_open,
    metered=True,
    terms=google_http.TERMS,
    keep_days=google_http.KEEP_DAYS,
    list_price=5.0,  # https://developers.google.com/maps/documentation/geocoding/usage-and-billing
    key_setting=google_http.KEY_SETTING,
    url_setting=API.url_setting,
)
