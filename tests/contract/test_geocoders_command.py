"""`python -m include.medallion.geocoders`, as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.sandbox.google import KEY, serving

ROOT = Path(__file__).parents[2]


def run(*arguments, **environ):
    """Run the command in a fresh environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOOGLE_")}
    command = [sys.executable, "-m", "include.medallion.geocoders", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean | environ, capture_output=True, text=True, check=False)


def test_it_prints_the_answer():
    """Status, coordinates, precision and provider are there to read."""
    done = run("98052", "--country", "US")
    assert done.returncode == 0
    assert dict(line.split(maxsplit=1) for line in done.stdout.splitlines()) == {
        "country": "US",
        "postcode": "98052",
        "provider": "offline",
        "status": "OK",
        "latitude": "47.6718",
        "longitude": "-122.1232",
        "precision": "POSTCODE",
        "place_id": "-",
        "radius_m": "-",
        "verdict": "-",
    }


@pytest.mark.parametrize("country", ["USA", "united states", "Vereinigte Staaten", "840"])
def test_a_country_may_be_spelled_in_any_way(country):
    """Names and codes give the country's alpha-2 code."""
    assert "country    US" in run("98052", "--country", country).stdout


@pytest.mark.parametrize(("country", "fix"), [("Germny", "Germany (DE)"), ("Korea", "South Korea (KR)")])
def test_an_unknown_country_comes_with_a_suggestion(country, fix):
    """A misspelled name, and one of two countries, are refused with exit code 1."""
    done = run("98052", "--country", country)
    assert (done.returncode, done.stdout) == (1, "")
    assert fix in done.stderr


def test_it_prints_json():
    """`--json` is one object, with null for what is not known."""
    done = run("sw1a1aa", "--country", "gb", "--json")
    answer = json.loads(done.stdout)
    assert (answer["country"], answer["postcode"]) == ("GB", "SW1A 1AA")
    assert answer["status"] in {"UNSUPPORTED", "OK"}


def test_it_helps():
    """`--help` names the options and the exit codes."""
    done = run("--help", COLUMNS="120")
    assert done.returncode == 0
    assert "--country" in done.stdout
    assert "75" in done.stdout


@pytest.mark.parametrize("provider", ["google_geocoding", "google_address_validation"])
def test_a_missing_key_is_one_line(provider):
    """A setting to mend is said in one line, with exit code 1."""
    done = run("98052", "--geocoder", provider)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "GOOGLE_API_KEY" in done.stderr


@pytest.mark.parametrize(("fault", "code"), [("REQUEST_DENIED", 1), ("503", 75)])
def test_exit_codes_tell_refused_from_later(fault, code):
    """1: a person must act; 75: it may work later."""
    with serving() as google:
        google.fail(fault)
        done = run("98052", GOOGLE_API_KEY=KEY, GOOGLE_GEOCODING_URL=google.geocoding_url)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert KEY not in done.stderr
