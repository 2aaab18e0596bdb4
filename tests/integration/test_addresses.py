"""Street addresses of a table: billed once each, with precision and verdict in both sinks."""

from __future__ import annotations

from include.medallion.model.window import Mode
from tests.integration.fake_google import set_geocode


def test_each_address_is_billed_once_and_has_its_verdict(people, google):
    """Spellings of one address are one call; a full refresh makes none; the cache has it as its key."""
    people.connections.environ["GOOGLE_ADDRESS_VALIDATION_URL"] = google.validation_url
    set_geocode(people, geocoder="google_address_validation", address="street", h3=8)
    people.sql(
        "ALTER TABLE people ADD street text",
        "INSERT INTO people (postcode, street) VALUES ('98052', '1 Microsoft Way'), ('98052', '1  microsoft way.'), "
        "('98052', '2 Microsoft Way'), ('98052', 'Microsoft Way'), (NULL, NULL)",
    )
    lookups = people.run().lookups
    assert (lookups.keys, lookups.calls, lookups.statuses) == (3, 3, {"OK": 3})
    rows = [(row["geocode_status"], row["geocode_precision"], row["geocode_verdict"]) for row in people.gold()]
    house, street = ("OK", "PREMISE", "ACCEPT"), ("OK", "ROUTE", "FIX")
    assert rows == [house, house, house, street, ("NO_POSTCODE", None, None)]
    assert {row["h3_cell"] for row in people.gold()} == {"8828d54a5bfffff", None}
    assert people.silver() == people.gold()
    assert people.run(mode=Mode.REFRESH).lookups.cached == 3
    assert min(row["address"] for row in people._delta("lookups_addresses")) == "1 MICROSOFT WAY"
    assert people.open("locations") is None
