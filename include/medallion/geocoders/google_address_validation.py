"""
Google's Address Validation API, version 1: a postcode as an address of its own.

https://developers.google.com/maps/documentation/address-validation/reference/rest
**What this API answers to a bare postcode is not verified**: its documentation
shows whole addresses only, and it was written without an account to try. It
knows fewer countries than the Geocoding API; one it does not know is HTTP 400,
so INVALID_REQUEST, like any key it cannot read.

An answer is taken where its address repeats the country and the postcode asked
(a ZIP+4 counts as its ZIP), the postcode is not marked as suspicious, and the
place is not a larger one, which it gives when it did not find the postcode.
`precision` is the verdict's `geocodeGranularity`. No `geocode`, or no usable
point in it, is ZERO_RESULTS: by protobuf's JSON rules an unset point and (0, 0)
are the same, while one missing number alone is a true 0. The radius is the
distance to the farthest corner of `bounds`, or else `featureSizeMeters`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import requests

from include.medallion.errors import Transient
from include.medallion.geocoders import google_http
from include.medallion.geocoders.coordinates import radius, usable
from include.medallion.geocoders.location import Access, Declaration, Locate, LocateAddress, Location, Status
from include.medallion.geocoders.postcodes import same_country, same_postcode
from include.medallion.geocoders.postcodes.addresses import LINE

URL = "https://addressvalidation.googleapis.com/v1:validateAddress"
API = google_http.Api("Google's Address Validation API", "GOOGLE_ADDRESS_VALIDATION_URL")

LONGEST_ADDRESS = 280
"""Characters of an address that the API takes."""
_TOO_COARSE = {"OTHER", "ROUTE", "BLOCK", "GRANULARITY_UNSPECIFIED"}
_UNSURE = ("hasUnconfirmedComponents", "hasInferredComponents", "hasReplacedComponents")
# Google's APIs answer an unknown key with HTTP 400, like a bad request; the reason tells them apart:
# https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
_KEY_REASONS = {"API_KEY_INVALID", "CREDENTIALS_MISSING"}


def geocoder(session: requests.Session, key: str, url: str = URL, timeout: float = 10) -> Locate:
    """Give a `Locate` over this session; `timeout` in seconds, of a whole call."""
    headers = {"X-Goog-Api-Key": key}

    def locate(country: str, postcode: str) -> Location:
        body = {"address": {"regionCode": country, "postalCode": postcode}}
        answer = google_http.call(API, session, "POST", url, json=body, headers=headers, timeout=timeout)
        with google_http.documented(API):
            return _answer(answer, partial(_judged, country, postcode))

    return locate


def _answer(answer: google_http.Answer, judge: Callable[[dict[str, Any]], Location]) -> Location:
    body = google_http.document(API, answer)
    if answer.status_code == HTTPStatus.BAD_REQUEST:
        details = (body.get("error") or {}).get("details") or ()
        for reason in {d.get("reason") for d in details} & _KEY_REASONS:
            raise google_http.refusal(API, reason)
        return Location(Status.INVALID_REQUEST)
    if not body.get("result"):
        raise Transient(f"{API.name} answered without a result")
    return judge(body["result"])


def _judged(country: str, postcode: str, result: dict[str, Any]) -> Location:
    address = result.get("address") or {}
    postal = address.get("postalAddress") or {}
    region = postal.get("regionCode", "").upper()
    if region and not same_country(country, region):
        return Location(Status.WRONG_COUNTRY)
    if not region or not same_postcode(country, postcode, postal.get("postalCode", "")) or _suspicious(address):
        return Location(Status.ZERO_RESULTS)
    return _location(result)


def _suspicious(address: dict[str, Any]) -> bool:
    return any(
        component.get("componentType") == "postal_code"
        and component.get("confirmationLevel") == "UNCONFIRMED_AND_SUSPICIOUS"
        for component in address.get("addressComponents") or ()
    )


def _location(result: dict[str, Any]) -> Location:
    geocode = result.get("geocode") or {}
    point = geocode.get("location") or {}
    place = usable(point.get("latitude", 0), point.get("longitude", 0))
    if place is None or "political" in (geocode.get("placeTypes") or ()):
        return Location(Status.ZERO_RESULTS)
    granularity = (result.get("verdict") or {}).get("geocodeGranularity")
    return Location(Status.OK, *place, granularity, geocode.get("placeId"), _radius(place, geocode))


def _radius(place: tuple[float, float], geocode: dict[str, Any]) -> float | None:
    box = geocode.get("bounds") or {}
    low, high = box.get("low"), box.get("high")
    corners = [(corner.get("latitude", 0), corner.get("longitude", 0)) for corner in (low, high) if corner]
    if low and high and (metres := radius(place, *corners)):
        return metres
    size = geocode.get("featureSizeMeters")
    return float(size) if isinstance(size, (int, float)) else None


def address_geocoder(session: requests.Session, key: str, url: str = URL, timeout: float = 10) -> LocateAddress:
    """Give a `LocateAddress` over this session; `timeout` in seconds, of a whole call."""
    headers = {"X-Goog-Api-Key": key}

    def locate(country: str, postcode: str, address: str) -> Location:
        if len(country + postcode + address) > LONGEST_ADDRESS:
            return Location(Status.INVALID_REQUEST)
        lines = {"regionCode": country, "postalCode": postcode, "addressLines": address.split(LINE)}
        body = {"address": {name: value for name, value in lines.items() if value}}
        answer = google_http.call(API, session, "POST", url, json=body, headers=headers, timeout=timeout)
        with google_http.documented(API):
            return _answer(answer, partial(_judged_address, country))

    return locate


def _judged_address(country: str, result: dict[str, Any]) -> Location:
    """Take the address that Google found, if it lies in the country asked and is no larger place."""
    region = ((result.get("address") or {}).get("postalAddress") or {}).get("regionCode", "").upper()
    if region and not same_country(country, region):
        return Location(Status.WRONG_COUNTRY)
    located = _location(result) if region else Location(Status.ZERO_RESULTS)
    return located._replace(verdict=_verdict(result.get("verdict") or {}))


def _verdict(verdict: dict[str, Any]) -> str:
    """
    Return what to do about an address: Google's own advice, or what its documentation derives from the verdict.

    https://developers.google.com/maps/documentation/address-validation/build-validation-logic
    """
    if action := verdict.get("possibleNextAction"):
        return str(action)
    if verdict.get("validationGranularity", "OTHER") in _TOO_COARSE or not verdict.get("addressComplete"):
        return "FIX"
    return "CONFIRM" if any(verdict.get(word) for word in _UNSURE) else "ACCEPT"


def _open_address(access: Access) -> LocateAddress:
    session = google_http.open_session(access.connections)
    return address_geocoder(session, access.key, access.url or URL, access.timeout)


def _open(access: Access) -> Locate:
    return geocoder(google_http.open_session(access.connections), access.key, access.url or URL, access.timeout)


GEOCODER = Declaration(
    open=_open,
    metered=True,
    terms=google_http.TERMS,
    keep_days=google_http.KEEP_DAYS,
    list_price=17.0,  # https://developers.google.com/maps/documentation/address-validation/usage-and-billing
    key_setting=google_http.KEY_SETTING,
    url_setting=API.url_setting,
    open_address=_open_address,
)
