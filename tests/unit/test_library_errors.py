"""Errors of libraries are re-raised with the data that their messages quote redacted."""

import traceback

import pytest

from include.medallion.errors import MedallionError, ProviderRefused, SinkBehind, Transient, Unforeseen
from include.medallion.redaction.library_errors import describe_library_error, redact_library_errors


@pytest.mark.parametrize(
    "error", [ProviderRefused("enable it"), Transient("later", retry_after=5), SinkBehind("x", held=1)]
)
def test_our_own_failures_pass_unchanged(error):
    """Errors that the core raises contain no data, and carry what retries need."""
    with pytest.raises(MedallionError) as raised, redact_library_errors():
        raise error
    assert raised.value is error


def test_a_foreign_error_is_reported_by_its_type():
    """A library's exception becomes Unforeseen, with the name of its class."""
    with pytest.raises(Unforeseen, match=r"builtins\.ValueError: no such thing"), redact_library_errors():
        raise ValueError("no such thing")


def test_the_foreign_exception_is_not_carried_along():
    """No log that prints the whole chain shows the library's own words."""
    name = "Ann" + "Smith"  # a traceback quotes the code
    with pytest.raises(Unforeseen) as raised, redact_library_errors():
        raise ValueError(f"Parsing '{name}' failed")
    assert name not in "".join(traceback.format_exception(raised.value))


def test_the_place_of_the_failure_stays():
    """The traceback still leads to the line that failed."""

    def fails():
        raise ValueError

    with pytest.raises(Unforeseen) as raised, redact_library_errors():
        fails()
    assert "fails" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("duplicate key: Key (email)=(ann@example.org) already exists", "ann"),
        ('invalid input syntax for type integer: "Ann"', "Ann"),
        ("Failed to parse 'Ann' as int", "Ann"),
        ("column `Ann` is unknown", "Ann"),
        ("GET https://maps.example/json?postcode=98052&key=AIzaSyD-secret failed", "98052"),
        ("GET https://maps.example/json?postcode=98052&key=AIzaSyD-secret failed", "AIzaSyD"),
        ("cannot connect to postgresql://joe:hunter2@db/x", "hunter2"),
    ],
)
def test_what_is_quoted_is_hidden(said, hidden):
    """Values, URL parameters and passwords that a library repeats are redacted."""
    assert hidden not in describe_library_error(RuntimeError(said))


def test_the_words_stay():
    """The rest of a message stays for the reader of the log."""
    assert "statement timeout reached" in describe_library_error(RuntimeError("statement timeout reached"))


def test_codes_stay():
    """An SQLSTATE identifies the error and contains no data."""
    error = RuntimeError("x")
    error.sqlstate = "57014"
    assert "57014" in describe_library_error(error)


def test_a_long_message_is_cut():
    """A library that quotes a whole document does not fill the log."""
    assert len(describe_library_error(RuntimeError("word " * 10_000))) < 1_000


def test_an_interruption_is_no_failure():
    """Ctrl-C and a task's termination pass."""
    with pytest.raises(KeyboardInterrupt), redact_library_errors():
        raise KeyboardInterrupt
