"""
The Geocoding API's side: `GET /maps/api/geocode/json?components=…&key=…`.

https://developers.google.com/maps/documentation/geocoding/requests-geocoding
Its failures are HTTP 200 with a status.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from include.sandbox.google.places import Place
from include.sandbox.google.protocol import Question, Reply, Request, reply

PATH = "/maps/api/geocode/json"
METHOD = "GET"


def read(request: Request) -> Question:
    """Take the question from the query."""
    filters = dict(part.split(":", 1) for part in request.query.get("components", "").split("|") if ":" in part)
    country, postcode = filters.get("country", ""), filters.get("postal_code", "")
    return Question(request.query.get("key", ""), country, postcode, complete=bool(country and postcode))


def refused(question: Question) -> Reply:
    """Answer a call without the right key."""
    how = "is invalid" if question.key else "is missing"
    return status("REQUEST_DENIED", f"The sandbox's key {how}.")


def status(word: str, message: str = "") -> Reply:
    """Answer without results."""
    document: dict[str, Any] = {"results": [], "status": word}
    if message:
        document["error_message"] = message
    return reply(document)


def found(place: Place, twist: str | None) -> Reply:
    """Answer with this place, in the way that `twist`, one of `faults.ANSWERS`, asks for."""
    result = _result(place, ["postal_code"])
    if twist == "no_geometry":
        del result["geometry"]
    if twist == "partial_match":
        result["partial_match"] = True
    before = [_result(_next_door(place), ["postal_code"]), _result(place, ["locality", "political"])]
    return reply({"results": [*before, result] if twist == "several" else [result], "status": "OK"})


def _next_door(place: Place) -> Place:
    return replace(place, postcode="99999", latitude=place.latitude + 1)


def _result(place: Place, types: list[str]) -> dict[str, Any]:
    return {
        "address_components": [
            {"long_name": place.postcode, "short_name": place.postcode, "types": ["postal_code"]},
            {"long_name": place.country, "short_name": place.country, "types": ["country", "political"]},
        ],
        "formatted_address": f"{place.postcode}, {place.country}",
        "geometry": {
            "bounds": _box(place, 0.05),
            "location": {"lat": place.latitude, "lng": place.longitude},
            "location_type": "APPROXIMATE",
            "viewport": _box(place, 0.06),
        },
        "place_id": f"{place.place_id}-{types[0]}",
        "types": types,
    }


def _box(place: Place, half: float) -> dict[str, dict[str, float]]:
    return {
        "northeast": {"lat": place.latitude + half, "lng": place.longitude + half},
        "southwest": {"lat": place.latitude - half, "lng": place.longitude - half},
    }
