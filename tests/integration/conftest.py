"""A stand-in for Google, and a table whose postcodes it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.sandbox.google import KEY, serving
from tests.integration.fake_google import set_geocode
from tests.integration.one_table import OneTable


@pytest.fixture
def google():
    """Start the stand-in, with nothing wrong."""
    with serving() as server:
        yield server


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver, google):
    """Lend an empty table whose postcodes Google is asked for."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.sql("CREATE TABLE people (id serial PRIMARY KEY, postcode text)")
    set_geocode(people)
    paid = {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": google.geocoding_url}
    people.connections = replace(people.connections, environ=paid)
    return people
