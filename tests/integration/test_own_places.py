"""Places of the user's own: from a table of the source's database, and looked up again when the data change."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from include.medallion.errors import SettingError
from include.medallion.lookups.data_versions import in_use_since
from include.medallion.model.batch_id import time_of
from include.medallion.model.window import Mode
from tests.integration.fake_google import insert, set_geocode, statuses


@pytest.fixture
def free(people):
    """Lend the table of people to a geocoder that needs no key."""
    people.connections = replace(people.connections, environ={})
    return people


def refresh(people):
    """Run a refresh; return its summary, None if nothing was due."""
    return people.run(mode=Mode.LOOKUPS)


def test_a_table_of_the_source_answers(free):
    """Numeric types of any kind and postcodes in any spelling, from a view or a table; nothing is billed or cached."""
    free.sql(
        "CREATE TABLE zips (land text, code int, north numeric(9,6), east numeric(9,6))",
        "INSERT INTO zips VALUES ('USA', 98052, 47.67, -122.12), ('Germany', 10115, 52.53, 13.38), (NULL, 1, 1, 1)",
    )
    columns = {"country_column": "land", "postcode": "code", "latitude": "north", "longitude": "east"}
    set_geocode(free, geocoder="table", table={"postgres": "public.zips", **columns})
    insert(free, "98052", "98052-1234", "10115", "501")
    lookups = free.run().lookups
    assert (lookups.statuses, lookups.calls) == ({"OK": 1, "ZERO_RESULTS": 1, "INVALID_POSTCODE": 1}, 0)
    assert statuses(free)["98052-1234"] == ("OK", True, True)
    assert {(row["latitude"], row["longitude"]) for row in free.gold() if row["latitude"]} == {(47.67, -122.12)}


def test_a_table_that_the_source_lacks_is_refused(free):
    """The message names the setting and the right that is needed."""
    set_geocode(free, geocoder="table", table={"postgres": "none.such"})
    insert(free, "98052")
    with pytest.raises(SettingError, match=r"geocode\.table\.postgres: .* GRANT SELECT"):
        free.run()


def test_keys_without_a_result_are_looked_up_again_when_the_table_changes(free):
    """Only they are, once for each version of the table; both sinks get the new place."""
    places = free.connections.lake.table("places")
    options = {"mode": "append", "storage_options": dict(free.connections.lake.options)}
    row = {"country": "US", "postcode": "98052", "latitude": 47.67, "longitude": -122.12}
    write_deltalake(places, pa.Table.from_pylist([row]), **options)
    set_geocode(free, geocoder="table")
    insert(free, "98052", "10001")
    assert free.run().lookups.statuses == {"OK": 1, "ZERO_RESULTS": 1}
    refresh(free)
    assert refresh(free) is None
    write_deltalake(places, pa.Table.from_pylist([row | {"postcode": "10001", "latitude": 40.75}]), **options)
    assert refresh(free).lookups.statuses == {"OK": 1}
    assert statuses(free) == dict.fromkeys(["98052", "10001"], ("OK", True, True))
    assert refresh(free) is None


def test_keys_are_looked_up_again_when_an_offline_package_is_installed(free):
    """What an earlier set of packages could not answer is asked of the present one, by the next refresh."""
    set_geocode(free, country="FR")
    insert(free, "75001")
    summary = free.run()
    in_use_since(free.connections.lake, "offline", "fewer packages", time_of(summary.batch_id))
    assert refresh(free).lookups.statuses == {"UNSUPPORTED": 1}
    assert refresh(free) is None


def test_keys_without_a_result_are_looked_up_again_by_another_geocoder(free):
    """A row that the offline geocoder could not answer is found once the file names a table."""
    set_geocode(free, country="FR")
    insert(free, "75001")
    free.run()
    row = {"country": "FR", "postcode": "75001", "latitude": 48.86, "longitude": 2.34}
    lake = free.connections.lake
    write_deltalake(lake.table("places"), pa.Table.from_pylist([row]), storage_options=dict(lake.options))
    set_geocode(free, country="FR", geocoder="table")
    assert refresh(free).lookups.statuses == {"OK": 1}
    assert {row["geocode_provider"] for row in free.gold()} == {"table"}
