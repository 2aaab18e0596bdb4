"""One key per real postcode."""

import pytest

from include.medallion.geocoders.postcodes import normalise, same_country, same_postcode


@pytest.mark.parametrize(
    ("country", "typed", "postcode"),
    [
        ("US", "98052-6399", "98052"),
        ("US", "980526399", "98052"),
        ("US", "98052-", "98052"),
        ("us", " 00501 ", "00501"),
        ("GB", "sw1a1aa ", "SW1A 1AA"),
        ("GB", "SW1A  1AA", "SW1A 1AA"),
        ("GB", "m11ae", "M1 1AE"),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("CA", "K1A-0B1", "K1A 0B1"),
        ("NL", "1234ab", "1234 AB"),
        ("SE", "11122", "111 22"),
        ("PL", "00001", "00-001"),
        ("JP", "1000001", "100-0001"),
        ("IE", "d02x285", "D02 X285"),
        ("AU", "0800", "0800"),
        ("XX", " ab \t 12 ", "AB 12"),
        ("US", "\uff19\uff18\uff10\uff15\uff12", "98052"),
        ("US", "98052\u00a0", "98052"),
    ],
)
def test_spellings_of_one_postcode_give_one_key(country, typed, postcode):
    """However it is typed, a postcode has its country's own form."""
    assert normalise(country, typed) == (country.upper(), postcode)


@pytest.mark.parametrize("typed", ["501", "2139", "9805", "980526", "9805A"])
def test_no_postcode_is_invented(typed):
    """A US code of another length stays as it is: its lost zeros are not guessed."""
    assert normalise("US", typed) == ("US", typed)


@pytest.mark.parametrize(
    ("country", "postcode"), [(None, "98052"), ("", "98052"), ("  ", "98052"), ("US", None), ("US", ""), ("US", " \t")]
)
def test_a_missing_half_is_no_key(country, postcode):
    """Without a country or a postcode there is nothing to look up."""
    assert normalise(country, postcode) is None


def test_uk_is_great_britain():
    """UK, which ISO 3166-1 does not have, gives the same key as GB."""
    assert normalise("UK", "sw1a1aa") == normalise("GB", "SW1A 1AA")


def test_an_unknown_country_is_passed_through():
    """A country that is no two-letter code is left to the geocoder."""
    assert normalise("usa", "98052-6399") == ("USA", "98052-6399")


@pytest.mark.parametrize(
    ("country", "one", "other"),
    [
        ("US", "98052", "98052-6399"),
        ("LV", "1010", "LV-1010"),
        ("PT", "1000-001", "1000 001"),
        ("GB", "M1 1AE", "m11ae"),
    ],
)
def test_a_provider_may_spell_a_postcode_its_own_way(country, one, other):
    """Hyphens, spaces, ZIP+4 and the country's prefix make no other postcode."""
    assert same_postcode(country, one, other)


def test_other_postcodes_are_other():
    """A neighbour or an outward code alone is not the postcode that was asked."""
    assert not same_postcode("US", "98052", "98053")
    assert not same_postcode("GB", "TN34 3DZ", "TN34")


def test_territories_share_their_postal_service():
    """US 00901 lies in Puerto Rico; no such bond joins the US and France."""
    assert same_country("US", "PR")
    assert same_country("PR", "US")
    assert not same_country("US", "FR")
