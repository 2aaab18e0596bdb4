"""The stand-in for Google speaks as Google documents it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from google.maps.addressvalidation import ValidateAddressResponse

from include.sandbox.google import KEY, Fault, serving

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "data" / "google_geocoding_sample_responses.json"


@pytest.fixture(scope="module")
def google():
    """Start the stand-in for the tests that leave it as it is."""
    with serving() as server:
        yield server


def geocode(server, key=KEY, components="postal_code:98052|country:US"):
    """Ask the Geocoding API."""
    return requests.get(server.geocoding_url, params={"components": components, "key": key}, timeout=5)


def validate(server, body=None, **headers):
    """Ask the Address Validation API."""
    body = body or {"address": {"regionCode": "US", "postalCode": "98052"}}
    return requests.post(server.validation_url, json=body, headers={"X-Goog-Api-Key": KEY} | headers, timeout=5)


def shape(value):
    """Give the names in a document, each with the type or the names of its value."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize("postcode", ["98052", "99999"])
def test_a_validation_parses_as_googles_type(google, postcode):
    """No field is unknown to Google's published message, and the place is where it expects it."""
    text = validate(google, {"address": {"regionCode": "US", "postalCode": postcode}}).text
    result = ValidateAddressResponse.from_json(text).result
    assert bool(result.geocode.place_id) == (postcode == "98052")


@pytest.mark.skipif(not SAMPLES.exists(), reason="no ../shared/data/google_geocoding_sample_responses.json")
def test_a_geocode_has_the_shape_of_a_real_one(google):
    """Names and types are those of a real answer for a postcode, but for what only some postcodes have."""
    real = json.loads(SAMPLES.read_text())["postcode_localities"]
    del real["results"][0]["postcode_localities"]
    assert shape(geocode(google).json()) == shape(real)


@pytest.mark.skipif(not SAMPLES.exists(), reason="no ../shared/data/google_geocoding_sample_responses.json")
def test_no_results_look_like_the_real_ones(google):
    """The answer to an unknown postcode is Google's, word for word."""
    real = json.loads(SAMPLES.read_text())["components_zero_results_response"]
    assert geocode(google, components="postal_code:99999|country:US").json() == real


def test_a_wrong_key_is_denied_with_200(google):
    """The Geocoding API says REQUEST_DENIED in a body of HTTP 200."""
    answer = geocode(google, key="another")
    assert (answer.status_code, answer.json()["status"]) == (200, "REQUEST_DENIED")


def test_a_wrong_key_is_a_bad_request_to_the_other(google):
    """The Address Validation API says API_KEY_INVALID in an error of HTTP 400."""
    error = validate(google, **{"X-Goog-Api-Key": "another"}).json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["reason"] == "API_KEY_INVALID"


def test_a_missing_filter_is_invalid(google):
    """A request without components is INVALID_REQUEST."""
    assert geocode(google, components="").json()["status"] == "INVALID_REQUEST"


@pytest.mark.parametrize("body", [{"address": {}}, {"adress": {}}, ["x"], {"address": {"postalCode": "9" * 300}}])
def test_a_bad_body_is_invalid(google, body):
    """A body without an address, with an unknown field or too long is HTTP 400."""
    assert validate(google, body).json()["error"]["status"] == "INVALID_ARGUMENT"


def test_the_wrong_method_is_no_page(google):
    """Each API has one method."""
    assert requests.post(google.geocoding_url, timeout=5).status_code == 404
    assert requests.get(google.validation_url, timeout=5).status_code == 404


def test_a_fault_happens_as_often_as_is_set():
    """The next two calls fail, the third does not."""
    with serving() as server:
        server.fail("UNKNOWN_ERROR", times=2)
        assert [geocode(server).json()["status"] for _ in range(3)] == ["UNKNOWN_ERROR", "UNKNOWN_ERROR", "OK"]


def test_a_share_of_calls_fails_the_same_way_again():
    """The same seed gives the same faults."""
    with serving() as server:
        runs = []
        for _ in range(2):
            requests.post(f"{server.url}/_control", json={"seed": 7, "fault": "503", "share": 0.5}, timeout=5)
            runs.append([geocode(server).status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


def test_one_postcode_fails_alone():
    """A fault may be bound to a postcode."""
    with serving() as server:
        server.fail("ZERO_RESULTS", postcode="98052")
        assert geocode(server).json()["status"] == "ZERO_RESULTS"
        assert geocode(server, components="postal_code:00501|country:US").json()["status"] == "OK"


def test_calls_are_counted_over_http():
    """GET /_calls returns how many calls came, with which key, for which postcode."""
    with serving() as server:
        geocode(server)
        validate(server)
        counts = requests.get(f"{server.url}/_calls", timeout=5).json()
    assert (counts["total"], counts["by_key"], counts["by_postcode"]) == (2, {KEY: 2}, {"US 98052": 2})


def test_control_over_http_says_what_is_wrong(google):
    """A fault that does not exist is HTTP 400 with the list of those that do."""
    answer = requests.post(f"{google.url}/_control", json={"fault": "meteor"}, timeout=5)
    assert answer.status_code == 400
    assert "OVER_QUERY_LIMIT" in answer.json()["error"]


def test_an_unknown_fault_is_refused():
    """A misspelt fault is not silently no fault."""
    with pytest.raises(ValueError, match="meteor"):
        Fault("meteor")


def test_it_runs_as_a_program():
    """`python -m include.sandbox.google` prints the settings with which it can be used."""
    command = [sys.executable, "-m", "include.sandbox.google", "--port", "0", "--key", "k"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        printed = dict(program.stdout.readline().strip().split("=", 1) for _ in range(3))
        parameters = {"components": "postal_code:98052|country:US", "key": printed["GOOGLE_API_KEY"]}
        answer = requests.get(printed["GOOGLE_GEOCODING_URL"], params=parameters, timeout=5)
        program.terminate()
    assert answer.json()["status"] == "OK"
