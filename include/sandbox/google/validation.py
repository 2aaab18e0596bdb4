"""
The Address Validation API's side: `POST /v1:validateAddress`.

https://developers.google.com/maps/documentation/address-validation/reference/rest
Its failures are HTTP codes with a `google.rpc.Status`. What the real one says
of a bare postcode is a guess: an address of granularity OTHER without a street.
"""

from __future__ import annotations

import json
from typing import Any

from include.sandbox.google.places import Place
from include.sandbox.google.protocol import Question, Reply, Request, reply

PATH = "/v1:validateAddress"
METHOD = "POST"

_REQUEST_FIELDS = {"address", "previousResponseId", "enableUspsCass", "languageOptions", "sessionToken"}
_LONGEST = 280
_HALF_DEGREES = 0.05  # of the box around a place
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_ERRORS = {
    "INVALID_REQUEST": (400, "INVALID_ARGUMENT", None),
    "REQUEST_DENIED": (403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
    "OVER_DAILY_LIMIT": (403, "PERMISSION_DENIED", "BILLING_DISABLED"),
    "OVER_QUERY_LIMIT": (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
    "UNKNOWN_ERROR": (500, "INTERNAL", None),
}


def read(request: Request) -> Question:
    """Take the question from header (or query) and body."""
    key = request.headers.get("X-Goog-Api-Key") or request.query.get("key", "")
    try:
        document = json.loads(request.body)
        address = document["address"]
        country, postcode = str(address.get("regionCode", "")), str(address.get("postalCode", ""))
        lines = ", ".join(map(str, address.get("addressLines", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Question(key, "", "", complete=False)
    known = document.keys() <= _REQUEST_FIELDS and len(country + postcode + lines) <= _LONGEST
    typed = request.headers.get("Content-Type", "").startswith("application/json")
    return Question(key, country, postcode, complete=bool(known and typed and country and postcode), address=lines)


def refused(question: Question) -> Reply:
    """Answer a call without the right key: an unknown one is a bad request to Google, none is forbidden."""
    if question.key:
        return _error(400, "INVALID_ARGUMENT", "API_KEY_INVALID")
    return _error(403, "PERMISSION_DENIED", "CREDENTIALS_MISSING")


def status(word: str) -> Reply:
    """Answer with the failure that the Geocoding API's `word` means here."""
    if word == "ZERO_RESULTS":
        verdict = {"inputGranularity": "OTHER", "validationGranularity": "OTHER", "geocodeGranularity": "OTHER"}
        return _response({"verdict": verdict | {"hasUnconfirmedComponents": True}, "address": {}})
    return _error(*_ERRORS[word])


def found(place: Place, twist: str | None) -> Reply:
    """Answer with this place, in the way that `twist`, one of `faults.ANSWERS`, asks for."""
    result = {
        "verdict": {"inputGranularity": "OTHER", "validationGranularity": "OTHER", "geocodeGranularity": "OTHER"},
        "address": _address(place),
        "geocode": _geocode(place),
    }
    if twist == "no_geometry":
        del result["geocode"]
    return _response(result)


def found_address(question: Question, place: Place, twist: str | None) -> Reply:
    """Answer with a house in this postcode: a street number makes it a premise, otherwise only the route is known."""
    whole = question.address[:1].isdigit()
    granularity = "PREMISE" if whole else "ROUTE"
    verdict = dict.fromkeys(("inputGranularity", "validationGranularity", "geocodeGranularity"), granularity)
    document = json.loads(found(place, twist).body)
    document["result"]["verdict"] = verdict | ({"addressComplete": True} if whole else {})
    if geocode := document["result"].get("geocode"):
        geocode["placeTypes"] = ["premise" if whole else "route"]
    return reply(document)


def _geocode(place: Place) -> dict[str, Any]:
    return {
        "location": _point(place.latitude, place.longitude),
        "bounds": {"low": _corner(place, -_HALF_DEGREES), "high": _corner(place, _HALF_DEGREES)},
        "featureSizeMeters": 7000.0,
        "placeId": place.place_id,
        "placeTypes": ["postal_code"],
    }


def _corner(place: Place, degrees: float) -> dict[str, float]:
    return _point(place.latitude + degrees, place.longitude + degrees)


def _point(latitude: float, longitude: float) -> dict[str, float]:
    # protobuf's JSON leaves zeros out
    return {k: v for k, v in (("latitude", latitude), ("longitude", longitude)) if v}


def _address(place: Place) -> dict[str, Any]:
    name = {"componentName": {"text": place.postcode}, "componentType": "postal_code"}
    return {
        "formattedAddress": f"{place.postcode}, {place.country}",
        "postalAddress": {"regionCode": place.country, "postalCode": place.postcode},
        "addressComponents": [name | {"confirmationLevel": "CONFIRMED"}],
        "missingComponentTypes": ["route", "street_number"],
    }


def _response(result: dict[str, Any]) -> Reply:
    return reply({"result": result, "responseId": "00000000-0000-4000-8000-000000000000"})


def _error(code: int, word: str, reason: str | None) -> Reply:
    error: dict[str, Any] = {"code": code, "message": f"The sandbox says {word}.", "status": word}
    if reason:
        error["details"] = [{"@type": _INFO, "reason": reason, "domain": "googleapis.com"}]
    return reply({"error": error}, code)
