"""What an error report may say."""

import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.errors import ProviderRefused, SettingError, Transient
from include.medallion.redaction import tracebacks
from include.medallion.redaction.events import WITHHELD, redact_event, safe_messages
from include.medallion.redaction.patterns import REDACTED, redact_patterns, redact_values, secrets_in

KEY = "AIzaSyA-1234567890abcdefghijklmnopqrstu"
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="*"), min_size=4, max_size=40)


@given(TEXT, st.text("abcXYZ019_-", min_size=35, max_size=35), TEXT)
def test_google_key_never_passes(before, tail, after):
    """Wherever a key stands in a text, it is hidden."""
    assert f"AIza{tail}" not in redact_patterns(f"{before}AIza{tail}{after}")


@given(TEXT, WORD, WORD, TEXT)
def test_email_never_passes(before, name, host, after):
    """Wherever an e-mail stands in a text, it is hidden."""
    assert f"{name}@{host}.com" not in redact_patterns(f"{before} {name}@{host}.com {after}")


@given(st.integers(501, 99950), st.sampled_from(["{}", "ZIP {}", "MA {}", "US-{}", "'{}'", "({})", "postcode:{}"]))
def test_american_postcode_never_passes(number, around):
    """A number of five digits is taken for a ZIP code."""
    postcode = f"{number:05d}"
    assert postcode not in redact_patterns(f"no result for {around.format(postcode)}, tried twice")


@given(SECRET, st.sampled_from(["{}", "{!r}", "url?x={}&y=1"]))
def test_secret_value_never_passes(secret, around):
    """A known secret is hidden, also where it is quoted."""
    assert secret not in redact_values(around.format(secret), [secret])


@given(st.recursive(TEXT | st.integers() | st.none(), lambda inner: st.dictionaries(TEXT, inner) | st.lists(inner)))
def test_fields_that_are_not_known_do_not_pass(data):
    """Local variables, request, user and all the rest are dropped, regardless of their content."""
    fields = ("breadcrumbs", "request", "user", "extra", "server_name", "modules", "threads", "logentry", "spans")
    event = {**dict.fromkeys(fields, data), "contexts": {"runtime": data}, "level": "error"}
    assert redact_event(event, {}) == {"level": "error", "tags": {}, "contexts": {"airflow": {}}}


@given(TEXT)
def test_foreign_message_never_passes(message):
    """What other people's exceptions say is replaced whole."""
    assert safe_messages(ValueError(message)) == {"ValueError": WITHHELD}


@pytest.mark.parametrize(
    "text",
    [
        "GOOGLE_API_KEY: refused by Google (REQUEST_DENIED): enable the Geocoding API",
        "employees.yaml: enrichment.key: unknown column 'zip'; use one of id, postcode",
        "read 12,345 rows, applied 12,340, quarantined 5; batch 20251122194200123",
        "manual__2025-01-01T00:00:00.123456+00:00_Ab3kd9",
        "http://localhost:28080/dags/d/runs/r__2025-01-01T00%3A00%3A00.123456%2B00%3A00/tasks/t/mapped/3?try_number=1",
        "no server at 127.0.0.1:54321",
    ],
)
def test_harmless_text_stays(text):
    """Advice, counts, identifiers and links keep their use."""
    assert redact_patterns(text) == text


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        (f"https://maps.googleapis.com/json?key={KEY}&address=12+Main+Street", "Main"),
        ("with url: /json?address=12 Main&key=abc", "abc"),
        ("{'X-Goog-Api-Key': 'abcdefgh'}", "abcdefgh"),
        ("Authorization: Bearer abcdefgh", "abcdefgh"),
        ("password: hunter2", "hunter2"),
        ("postgres://u:p4ss@h:5432/db", "p4ss"),
        ("DETAIL:  Key (id, email)=(7, jane) already exists.", "jane"),
        ("Failing row contains (7, Jane, null).", "Jane"),
        ("at 1600 Pennsylvania Avenue NW", "Pennsylvania"),
        ("at 12 Baker St, London", "Baker"),
        ("in Musterstraße 5", "Muster"),
        ("near NW1 6XE", "6XE"),
        ("near K1A 0B1", "0B1"),
        ("('GB', postcode='SW1A 1AA')", "1AA"),
        ("at 42.360123, -71.058912", "360123"),
    ],
)
def test_what_looks_sensitive_is_hidden(text, leak):
    """Parameters, headers, rows, addresses, postcodes, coordinates."""
    assert leak not in redact_patterns(text)


@pytest.mark.parametrize("piece", ["a", "key", "password", "a.@", "1 ", "(a", "?a", "x-", "12 a b c ", "address='"])
@pytest.mark.timeout(10)
def test_long_text_takes_linear_time(piece):
    """No text, however made, keeps a failing task busy."""
    redact_patterns(piece * (200_000 // len(piece)))


def test_secrets_of_the_environment_are_known():
    """By the variable's name; inside URLs and JSON, regardless of the name."""
    environment = {
        "GOOGLE_API_KEY": "key-value",
        "AIRFLOW_CONN_BRONZE": "postgres://me:p%40ss@host/db?api_key=query-value",
        "AIRFLOW_CONN_SILVER": json.dumps({"password": "json-value", "extra": {"private_key": "deep-value"}}),
        "BROKER": "redis://:broker-value@host",
        "HOME": "/home/me",
        "SOME_TOKEN": "true",
    }
    found = secrets_in(environment)
    assert {"key-value", "p@ss", "query-value", "json-value", "deep-value", "broker-value"} <= found
    assert not {"/home/me", "true", "me", "host"} & found


def test_our_message_is_kept():
    """The fix that our own exceptions name is the report's best part."""
    text = "GOOGLE_API_KEY is not allowed to use the Geocoding API: enable it"
    assert safe_messages(ProviderRefused(text)) == {"include.medallion.errors.ProviderRefused": text}


def test_our_message_is_scrubbed_all_the_same():
    """A broken contract is caught by shape."""
    assert "jane@example.com" not in safe_messages(Transient("no answer for jane@example.com"))[qualified(Transient)]


def test_every_exception_of_a_chain_is_described():
    """Causes, contexts and group members are held to the same rule."""
    group = ExceptionGroup("row 7", [KeyError("jane@example.com")])
    group.__context__ = OSError(111, "refused by jane's host")
    error = Transient("the source is away")
    error.__cause__ = group
    assert safe_messages(error) == {
        qualified(Transient): "the source is away",
        "ExceptionGroup": WITHHELD,
        "KeyError": WITHHELD,
        "ConnectionRefusedError": f"ECONNREFUSED, {WITHHELD}",
    }


def test_endless_chain_ends():
    """Exceptions may be each other's context."""
    one, two = ValueError(), KeyError()
    one.__context__, two.__context__ = two, one
    assert set(safe_messages(one)) == {"ValueError", "KeyError"}


def test_codes_of_foreign_exceptions_are_kept():
    """A status says what happened, but not to whom."""
    response = requests.Response()
    response.status_code = 403
    error = requests.HTTPError(f"403 for url: https://maps.googleapis.com/json?key={KEY}", response=response)
    assert safe_messages(error) == {"requests.exceptions.HTTPError": f"HTTP 403, {WITHHELD}"}


@pytest.mark.parametrize("state", ["23505; jane", "jane", 23505, None])
def test_codes_that_are_none_are_not_kept(state):
    """An attribute may have a code's name and hold data."""
    error = RuntimeError("x")
    error.sqlstate = state
    assert safe_messages(error) == {"RuntimeError": WITHHELD}


def test_places_pass_without_code_and_variables():
    """Of a frame: file, line, function."""
    place = {"filename": "silver.py", "function": "load", "lineno": 7, "module": "include.medallion.silver.sink"}
    frame = {**place, "vars": {"row": KEY}, "context_line": KEY, "pre_context": [KEY], "post_context": [KEY]}
    value = {"type": "ValueError", "module": None, "value": KEY, "stacktrace": {"frames": [frame]}}
    scrubbed = redact_event({"exception": {"values": [value]}}, {})["exception"]["values"]
    assert scrubbed == [{"type": "ValueError", "module": None, "value": WITHHELD, "stacktrace": {"frames": [place]}}]


def test_names_of_tasks_are_not_torn_apart():
    """A password that is part of a DAG's id is no reason to lose the id; other tags are masked."""
    event = {"tags": {"dag_id": "medallion_employees", "run_id": "medallion"}}
    tags = redact_event(event, {}, mask=lambda text: text.replace("medallion", REDACTED))["tags"]
    assert tags == {"dag_id": "medallion_employees", "run_id": REDACTED}


def test_printed_traceback_keeps_types_and_places():
    """Source lines and foreign messages of an import error are left out; our message stays."""
    text = (
        'Traceback (most recent call last):\n  File "/d/a.py", line 3, in <module>\n'
        f'    key = "{KEY}"\n    ^^^\nValueError: jane@example.com\nmore: of it\n'
        "\nThe above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "/d/b.py", line 5, in load\n    raise X\n'
        "include.medallion.errors.SettingError: employees.yaml: 'source' is missing\nadd it\n"
    )
    exception, safe = tracebacks.parse_traceback(text)
    assert [(v["type"], v["stacktrace"]["frames"]) for v in exception["values"]] == [
        ("ValueError", [{"filename": "/d/a.py", "lineno": 3, "function": "<module>"}]),
        ("SettingError", [{"filename": "/d/b.py", "lineno": 5, "function": "load"}]),
    ]
    assert safe == {"ValueError": WITHHELD, qualified(SettingError): "employees.yaml: 'source' is missing\nadd it"}


@given(st.text())
def test_any_text_can_be_read_as_a_traceback(text):
    """A report is made of any text, and without the text's words."""
    exception, safe = tracebacks.parse_traceback(text)
    assert exception["values"]
    assert set(safe.values()) == {WITHHELD}


def qualified(kind: type) -> str:
    """Return the name under which `describe` files an exception."""
    return f"{kind.__module__}.{kind.__qualname__}"
