"""From the values of a row to a key and its answer."""

import pyarrow as pa
import pytest

from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.enrich.geocoding import open_geocoding
from include.medallion.errors import SettingError
from include.medallion.model.columns import Column


def enrichment(columns=(), **settings):
    """Give the offline geocoding of a table with a column for the country, or of one country."""
    if "country" not in settings:
        settings["country_column"] = "country"
    return open_geocoding(GeocodeSettings(postcode="zip", **settings), {}, columns)


def answer(*values, **settings):
    """Give the answer to one row (country if it is a column, postcode); a dictionary, or None without a key."""
    made = enrichment(**settings)
    (key,) = made.normalise([pa.array([value]) for value in values])
    return key and made.call([key]).to_pylist()[0]


@pytest.mark.parametrize(
    ("country", "postcode"),
    [
        ("USA", "98052"),
        ("United States", "98052-1234"),
        ("840", "98052\u20131234"),
        ("us", 98052.0),
        ("U.S.A.", 98052),
        ("US", "98052     "),
        ("Vereinigte Staaten", "\uff19\uff18\uff10\uff15\uff12"),
    ],
)
def test_every_spelling_is_found(country, postcode):
    """Names, codes, dashes, floats and padding lead to the same place."""
    found = answer(country, postcode)
    assert (found["geocode_status"], found["latitude"], found["longitude"]) == ("OK", 47.6718, -122.1232)


@pytest.mark.parametrize("country", ["US", "MH", "Marshall Islands"])
def test_a_served_territory_is_found_under_both_countries(country):
    """Majuro lies east of the meridian of 180 degrees, whichever country is named."""
    found = answer(country, "96960")
    assert (found["latitude"], found["longitude"]) == pytest.approx((7.09, 171.38), abs=0.01)


@pytest.mark.parametrize("country", [None, "", "Atlantis", "Congo"])
def test_an_unknown_country_is_not_an_unsupported_one(country):
    """A postcode without a country that is known has a status of its own."""
    assert answer(country, "98052")["geocode_status"] == "UNKNOWN_COUNTRY"
    assert answer("France", "75001")["geocode_status"] == "UNSUPPORTED"
    assert answer(country, None) is None


def test_a_default_country_is_used_where_there_is_none():
    """NULL and blank are the default country; a name that is unknown is not."""
    assert answer(None, "98052", default_country="USA")["geocode_status"] == "OK"
    assert answer("  ", "98052", default_country="USA")["geocode_status"] == "OK"
    assert answer("Atlantis", "98052", default_country="USA")["geocode_status"] == "UNKNOWN_COUNTRY"


def test_lost_zeros_have_a_status_or_are_restored():
    """The setting decides; without it nothing is guessed."""
    assert answer("US", 501)["geocode_status"] == "INVALID_POSTCODE"
    assert answer("US", 501, restore_leading_zeros=True)["latitude"] == pytest.approx(40.8154)
    assert answer("2139", country="us", restore_leading_zeros=True)["geocode_status"] == "OK"


@pytest.mark.parametrize(("country", "postcode"), [(None, "98052"), ("US", "501"), ("FR", "75001")])
def test_what_was_not_looked_up_is_not_kept(country, postcode):
    """Only answers of a provider are worth keeping."""
    assert answer(country, postcode)["keep"] is None


def test_a_cell_of_the_coordinate_is_added_on_request():
    """The H3 cell at the resolution that is set, null without a coordinate."""
    made = enrichment(country="US", h3=8, prefix="home_")
    answers = made.call([("US", "98052"), ("US", "00000")])
    cells = made.derive(answers)["h3_cell"].to_pylist()
    assert cells == ["8828d54a5bfffff", None]
    assert made.fields.field("home_h3_cell").type == pa.string()
    assert "h3_cell" not in enrichment(country="US").fields.names


@pytest.mark.parametrize("kind", [pa.binary(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.bool_()])
@pytest.mark.parametrize(("column", "setting"), [("zip", "postcode"), ("country", "country_column")])
def test_a_column_of_a_wrong_type_is_refused(kind, column, setting):
    """The message names setting, column, type and fix, before any row is read."""
    with pytest.raises(SettingError, match=rf"enrich\.geocode\.{setting}: column {column} .* cast it"):
        enrichment([Column(column, kind, "")])


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.int16(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(10, 2)]
)
def test_text_and_numbers_hold_postcodes(kind):
    """Also numeric columns, which lose leading zeros, and columns that the geocoding does not read."""
    columns = [Column("zip", kind, ""), Column("country", pa.string(), ""), Column("photo", pa.binary(), "")]
    assert enrichment(columns).reads == ("country", "zip")
