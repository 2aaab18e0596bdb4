"""One key per real postcode, however it was typed and whichever country was named."""

import datetime as dt
import unicodedata
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.medallion.config.countries.names import alpha2_codes
from include.medallion.errors import SettingError
from include.medallion.geocoders.location import Status
from include.medallion.geocoders.postcodes import (
    UNKNOWN,
    is_area,
    normalise,
    normalise_columns,
    restore_zeros,
    same_country,
    same_postcode,
    system_of,
    unanswerable,
)
from include.medallion.geocoders.postcodes.territories import SYSTEMS

DASHES = sorted(
    {chr(c) for c in range(0x11000) if unicodedata.category(chr(c)) == "Pd"} | {*"\u2212\u30fc\uff70\u2043"}
)
SPACES = [chr(c) for c in range(0x11000) if chr(c).isspace()]
INVISIBLE = [*"\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u202a\ufe0f"]


@pytest.mark.parametrize(
    ("country", "postcode", "spellings"),
    [
        (
            "US",
            "98052",
            ["98052-6399", "980526399", "98052-", " 98052 ", "98052     ", "98052\u00a0", "\uff19\uff18052"],
        ),
        ("US", "98052", ["98052\u20131234", "98052 1234", "US-98052", "USA 98052", "ZIP 98052", "98052.0", "98052,00"]),
        ("US", "98052", [98052, 98052.0, Decimal("98052.00"), 980526399, "\u0669\u0668\u0660\u0665\u0662"]),
        ("US", "00501", ["00501", "00501-0001"]),
        ("US", "94040", ["94040-111", "94040-1", "94040 111"]),
        (
            "GB",
            "SW1A 1AA",
            ["sw1a1aa ", "SW1A  1AA", "SW1A-1AA", "GB-SW1A 1AA", "GBSW1A1AA", "UK SW1A1AA", "SW 1A 1AA"],
        ),
        ("GB", "M1 1AE", ["m11ae", "M1 1AE  "]),
        ("GB", "GIR 0AA", ["gir0aa"]),
        ("CA", "K1A 0B1", ["k1a0b1", "K1A-0B1", "CA-K1A0B1"]),
        ("NL", "1234 AB", ["1234ab", "NL-1234 AB", "1234-AB", "NL1234AB"]),
        ("SE", "958 22", ["95822", "S-958 22", "SE-95822", 95822]),
        ("DE", "10115", ["D-10115", "D 10115", "D10115", "DE-10115", "d\u201110115", "10 115", "PLZ 10115", 10115.0]),
        ("FR", "75001", ["F-75001", "75 001", "FR 75001", "CP 75001"]),
        ("AT", "8010", ["A-8010", "AT-8010", 8010]),
        ("CH", "8001", ["CH-8001", "CH 8001"]),
        ("LI", "9490", ["FL-9490", "LI-9490", "CH-9490", "9490"]),
        ("BE", "1180", ["B-1180"]),
        ("PL", "00-001", ["00001", "PL-00-001", "00 001"]),
        ("JP", "100-0001", ["1000001", "\u3012100-0001", "\u3012 100\u30fc0001", "\uff11\uff10\uff10\uff0d\uff10001"]),
        ("BR", "13083-852", ["13083852", "13.083-852", "CEP 13083-852", 13083852]),
        ("IE", "D02 X285", ["d02x285", "D02-X285"]),
        ("LV", "LV-1010", ["1010", "LV1010", "lv 1010"]),
        ("LT", "01103", ["LT-01103"]),
        ("PT", "1000-001", ["1000001", "P-1000-001", "1000 001"]),
        ("IN", "110001", ["110 001", "PIN 110001"]),
        ("KR", "06236", ["06236"]),
        ("KR", "135-080", ["135080"]),
        ("SA", "12211", ["12211-1234"]),
        ("AR", "1636", ["B1636", "1636"]),
        ("AU", "0800", ["0800"]),
        ("KY", "KY1-1001", ["ky1 1001", "KY11001"]),
        ("HK", "999077", ["999077"]),
        ("US", "98052", ["WA 98052", "WA, 98052-6399", "United States 98052", "usa - 98052", "U.S.A. 98052"]),
        ("CA", "M5V 3L9", ["ON M5V 3L9", "on, m5v3l9", "Canada M5V 3L9", "CDN-M5V 3L9"]),
        ("AU", "2000", ["NSW 2000", "AUS-2000", "Australia 2000"]),
        ("SG", "018956", ["Singapore 018956", "S018956", "S(018956)", "SG 018956"]),
        ("GR", "104 31", ["GR-104 31", "EL-10431", "10431"]),
        ("DE", "10115", ["Deutschland 10115", "D 10115", "de10115"]),
        ("NZ", "6011", ["New Zealand 6011"]),
    ],
)
def test_every_spelling_of_a_postcode_gives_one_key(country, postcode, spellings):
    """Prefixes, dashes, spaces, case, full-width forms, padding and numbers do not count."""
    expected = (country, postcode)
    assert {s: normalise(country, s) for s in [postcode, *spellings]} == dict.fromkeys([postcode, *spellings], expected)


@pytest.mark.parametrize("country", ["USA", "us", "United States", "840", 840, "Vereinigte Staaten"])
def test_a_country_may_be_spelled_in_any_way(country):
    """The key has the alpha-2 code."""
    assert normalise(country, "98052") == ("US", "98052")


@pytest.mark.parametrize(
    ("countries", "spellings", "key"),
    [
        (["US", "PR"], ["00901", "00901-1234"], ("PR", "00901")),
        (["US", "MH"], ["96960", "MH-96960", "US 96960"], ("MH", "96960")),
        (["US", "GU"], ["96910"], ("GU", "96910")),
        (["US", "AS"], ["96799"], ("AS", "96799")),
        (["US", "MP"], ["96950"], ("MP", "96950")),
        (["US", "VI"], ["00802"], ("VI", "00802")),
        (["US", "FM"], ["96941"], ("FM", "96941")),
        (["US", "PW"], ["96940"], ("PW", "96940")),
        (["US", "UM"], ["96898"], ("UM", "96898")),
        (["US", "PR", "GU"], ["98052"], ("US", "98052")),
        (["DK", "GL"], ["3900", "DK-3900", "GL-3900"], ("GL", "3900")),
        (["DK"], ["2100", "DK-2100"], ("DK", "2100")),
        (["FO", "DK"], ["FO-100"], ("FO", "100")),
        (["CH", "LI"], ["9490"], ("LI", "9490")),
        (["CH", "LI"], ["8001"], ("CH", "8001")),
        (["FR", "MC"], ["98000", "MC-98000"], ("MC", "98000")),
        (["FR", "RE"], ["97400"], ("RE", "97400")),
        (["FR", "GP"], ["97110"], ("GP", "97110")),
        (["FR", "MF"], ["97150"], ("MF", "97150")),
        (["FR", "BL"], ["97133"], ("BL", "97133")),
        (["FR", "MQ"], ["97200"], ("MQ", "97200")),
        (["FR", "GF"], ["97300"], ("GF", "97300")),
        (["FR", "PM"], ["97500"], ("PM", "97500")),
        (["FR", "YT"], ["97600"], ("YT", "97600")),
        (["FR", "WF"], ["98600"], ("WF", "98600")),
        (["FR", "PF"], ["98714"], ("PF", "98714")),
        (["FR", "NC"], ["98800"], ("NC", "98800")),
        (["IT", "SM"], ["47890"], ("SM", "47890")),
        (["IT", "VA"], ["00120"], ("VA", "00120")),
        (["GB", "JE"], ["JE2 3AB", "je23ab"], ("JE", "JE2 3AB")),
        (["GB", "GG"], ["GY1 1AA"], ("GG", "GY1 1AA")),
        (["GB", "IM"], ["IM1 1AA"], ("IM", "IM1 1AA")),
        (["GB", "FK"], ["FIQQ 1ZZ"], ("FK", "FIQQ 1ZZ")),
        (["GB", "GI"], ["GX11 1AA"], ("GI", "GX11 1AA")),
        (["AU", "CX"], ["6798"], ("CX", "6798")),
        (["AU", "CC"], ["6799"], ("CC", "6799")),
        (["AU", "NF"], ["2899"], ("NF", "2899")),
        (["NO", "SJ"], ["9170", "N-9170"], ("SJ", "9170")),
        (["FI", "AX"], ["22100", "FIN-22100"], ("AX", "22100")),
        (["ES", "IC", "EA"], ["35001", "E-35001"], ("ES", "35001")),
        (["MA", "EH"], ["70000"], ("MA", "70000")),
    ],
)
def test_a_postcode_of_a_shared_system_is_one_place(countries, spellings, key):
    """Whichever country of the system a row names, the key has the one in which the code lies."""
    assert {(c, s): normalise(c, s) for c in countries for s in spellings} == {
        (c, s): key for c in countries for s in spellings
    }


@pytest.mark.parametrize(("system", "members"), SYSTEMS.items())
def test_a_provider_may_name_any_country_of_a_system(system, members):
    """Both ways, and between two served territories; never a country outside."""
    for member in members:
        assert same_country(system, member)
        assert same_country(member, system)
        assert same_country(member, members[0])
        assert not same_country(member, "MX")


@pytest.mark.parametrize(
    ("country", "typed", "key"),
    [
        ("GB", "ox1", ("GB", "OX1")),
        ("GB", "GB-SW1A", ("GB", "SW1A")),
        ("GB", "OX1 2", ("GB", "OX1 2")),
        ("GB", "OX12", ("GB", "OX12")),
        ("GB", "JE2", ("JE", "JE2")),
        ("CA", "v8p", ("CA", "V8P")),
        ("IE", "D02", ("IE", "D02")),
        ("IE", "d6w", ("IE", "D6W")),
        ("NL", "NL-1012", ("NL", "1012")),
        ("NL", 1012, ("NL", "1012")),
        ("PT", "1675", ("PT", "1675")),
        ("BR", "01310", ("BR", "01310")),
        ("JP", 100, ("JP", "100")),
        ("JP", "〒545", ("JP", "545")),
        ("MT", "vlt", ("MT", "VLT")),
        ("BM", "HM", ("BM", "HM")),
    ],
)
def test_a_part_of_a_postcode_is_an_area(country, typed, key):
    """Outward codes, sectors, sortation areas and routing keys are keys of their own."""
    assert normalise(country, typed) == key
    assert is_area(*key)


@pytest.mark.parametrize(
    ("country", "code"), [("US", "98052"), ("GB", "SW1A 1AA"), ("CA", "V8P 1A1"), ("FR", "AB"), ("XX", "1")]
)
def test_a_whole_postcode_is_no_area(country, code):
    """A postcode of its own, and what is none, do not stand for others."""
    assert not is_area(country, code)


@pytest.mark.parametrize(
    ("country", "typed", "restored"),
    [
        ("US", 501, ("US", "00501")),
        ("US", "2139", ("US", "02139")),
        ("US", 2139.0, ("US", "02139")),
        ("US", 21391234, ("US", "02139")),
        ("US", 901, ("PR", "00901")),
        ("DE", 1067, ("DE", "01067")),
        ("FR", "1000", ("FR", "01000")),
        ("JP", 600000, ("JP", "060-0000")),
        ("BR", 1310100, ("BR", "01310-100")),
        ("NO", "10", ("NO", "0010")),
        ("PL", 1012, ("PL", "01-012")),
    ],
)
def test_a_lost_zero_is_restored_only_on_request(country, typed, restored):
    """Without the setting the key stays as it is and is not looked up."""
    key = normalise(country, typed)
    assert key == (country, str(int(float(typed))))
    assert unanswerable(*key) is Status.INVALID_POSTCODE
    assert restore_zeros(key) == restored
    assert unanswerable(*restored) is None


@pytest.mark.parametrize(
    "key", [("US", "98052"), ("US", "1"), ("US", "9805A"), ("GB", "OX1"), ("NL", "1012"), ("HK", "1")]
)
def test_nothing_else_gets_zeros(key):
    """Codes, areas, letters, numbers that lack three digits and countries without postcodes stay as they are."""
    assert restore_zeros(key) == key


@pytest.mark.parametrize("typed", ["980526", "9805A", "98052-98053", "ABCDE", "XX 98052", "WA98052X"])
def test_what_has_no_form_stays_as_it_is(typed):
    """Nothing is cut off and nothing is repaired: the geocoder answers."""
    assert normalise("US", typed) == ("US", typed)
    assert unanswerable("US", typed) is None


@pytest.mark.parametrize("country", [None, "", "  ", "Atlantis", "Congo", "XX", float("nan"), 0])
def test_an_unknown_country_has_its_own_status(country):
    """A missing country, one that is none and one that may be two are not looked up, and not guessed."""
    key = normalise(country, " 98052 ")
    assert key == (UNKNOWN, "98052")
    assert unanswerable(*key) is Status.UNKNOWN_COUNTRY


@pytest.mark.parametrize(
    ("country", "key"),
    [(None, ("US", "98052")), ("", ("US", "98052")), (" ", ("US", "98052")), ("Germany", ("DE", "98052"))],
)
def test_a_default_country_replaces_a_missing_one_only(country, key):
    """A country that is unknown is not replaced: that would be a guess."""
    assert normalise(country, "98052", "US") == key
    assert normalise("Atlantis", "98052", "US") == (UNKNOWN, "98052")


@pytest.mark.parametrize("postcode", [None, "", " \t", "-", "\u200b", "\u3000", float("nan"), float("inf"), "''"])
def test_without_a_postcode_there_is_no_key(postcode):
    """Null, blank, invisible and punctuation alone are no postcode, in any country."""
    assert normalise("US", postcode) is None
    assert normalise(None, postcode) is None


@pytest.mark.parametrize(
    "value", [b"98052", dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), True, [98052], {}]
)
def test_a_type_that_holds_no_postcode_is_refused(value):
    """Bytes, dates and truth values are a mistake in the pipeline file, and no value is shown."""
    for pair in ((value, "98052"), ("US", value)):
        with pytest.raises(SettingError, match=type(value).__name__) as refused:
            normalise(*pair)
        assert "98052" not in str(refused.value)


@pytest.mark.parametrize(
    ("country", "one", "other"),
    [
        ("US", "98052", "98052-6399"),
        ("PR", "00901", "00901-1234"),
        ("LV", "1010", "LV-1010"),
        ("PT", "1000-001", "1000 001"),
        ("GB", "M1 1AE", "m11ae"),
        ("JM", "JMAAW15", "jmaaw15"),
    ],
)
def test_a_provider_may_spell_a_postcode_its_own_way(country, one, other):
    """Hyphens, spaces, ZIP+4 and the country's prefix make no other postcode."""
    assert same_postcode(country, one, other)


def test_other_postcodes_are_other():
    """A neighbour, an outward code alone and a sector are not the postcode that was asked."""
    assert not same_postcode("US", "98052", "98053")
    assert not same_postcode("GB", "TN34 3DZ", "TN34")
    assert not same_postcode("US", "98052", "9805")


COUNTRIES = st.sampled_from(sorted(alpha2_codes()))
TYPED = st.one_of(st.text(max_size=12), st.from_regex("[A-Z]{0,3}[- ]?[0-9]{1,9}([- ]?[A-Z0-9]{1,4})?", fullmatch=True))


@given(COUNTRIES, TYPED)
@example("US", "00901")
@example("GB", "OX1 2")
@example("CV", "7101001")
def test_a_key_is_its_own_key(country, typed):
    """Normalising twice changes nothing, with restored zeros too."""
    key = normalise(country, typed)
    if key is not None:
        assert normalise(*key) == key
        assert normalise(*restore_zeros(key)) == restore_zeros(key)
        assert normalise(key[0], f" {key[1].lower()}\u200b") == key


@given(st.lists(st.tuples(COUNTRIES | st.sampled_from(["USA", "Germany", "", None]), st.none() | TYPED), max_size=20))
@example([("US", "98052-1234"), ("US", "00901"), ("GB", "JE2 3AB"), ("GB", "SW1A 1AA"), ("US", " 98052"), ("FR", None)])
@example([("PR", "00901"), ("US", "980521234"), ("LB", "1234"), ("KR", "135-080"), ("CV", "7101001"), ("US", "501")])
def test_columns_get_the_keys_of_their_values(rows):
    """Whole columns are normalised as each value is, with a default country and restored zeros or without."""
    columns = [pa.array([row[n] for row in rows], pa.string()) for n in range(2)]
    for default, restore in ((None, False), ("US", True)):
        keys = [normalise(*row, default) for row in rows]
        expected = [restore_zeros(key) if restore and key else key for key in keys]
        found = zip(*(c.to_pylist() for c in normalise_columns(*columns, default, restore=restore)), strict=True)
        assert [key if key[1] is not None else None for key in found] == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([98052.0, None, float("nan")]),
        pa.array([98052, None, 501], pa.int32()),
        pa.array([Decimal("98052.00"), None, Decimal(501)]),
        pa.nulls(3),
    ],
)
def test_columns_of_numbers_are_read_as_their_values(column):
    """Floats, whole numbers and decimals, and a column of nulls."""
    _, codes = normalise_columns(pa.repeat("US", 3), column)
    assert codes.to_pylist() == [key and key[1] for key in (normalise("US", value) for value in column.to_pylist())]


FORMS = {
    **dict.fromkeys(["US", "DE", "FR", "IT", "ES", "FI", "SE", "CZ", "GR", "PL", "MX", "KR", "TR", "UA"], "[0-9]{5}"),
    **dict.fromkeys(["AT", "BE", "CH", "DK", "NO", "AU", "HU", "LV", "ZA", "NZ", "NL", "PT"], "[0-9]{4}"),
    **dict.fromkeys(["IN", "RU", "CN", "SG", "RO"], "[0-9]{6}"),
    "JP": "[0-9]{7}",
    "BR": "[0-9]{8}",
    "IS": "[0-9]{3}",
    "CA": "[A-Z][0-9][A-Z]( [0-9][A-Z][0-9])?",
    "GB": "[A-Z]{1,2}[0-9][A-Z0-9]?( [0-9]([A-Z]{2})?)?",
    "IE": "[A-Z][0-9][0-9W]( [A-Z0-9]{4})?",
}
CODES = st.one_of([st.tuples(st.just(land), st.from_regex(form, fullmatch=True)) for land, form in FORMS.items()])
"""A country and one of its codes, as the postal service writes it but for its hyphens."""


@given(CODES, CODES)
@example(("GB", "OX1 2"), ("GB", "OX12"))
@example(("US", "00901"), ("US", "00902"))
@example(("CH", "9490"), ("AT", "9490"))
def test_two_places_never_get_one_key(one, other):
    """Two codes of a country, or the same of two countries, are two keys."""
    assert (normalise(*one) == normalise(*other)) == (one == other)


@given(
    CODES,
    st.sampled_from(DASHES),
    st.sampled_from(SPACES),
    st.sampled_from(INVISIBLE),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
def test_decoration_never_makes_another_key(code, dash, space, invisible, wide, lower, padding):
    """All dashes, spaces and invisible characters of Unicode, full width, case and padding do not count."""
    country, text = code
    typed = text.lower() if lower else text
    typed = "".join(chr(ord(c) + 0xFEE0) if wide and "!" <= c <= "~" else c for c in typed)
    typed = f"{country}{dash}" * (not wide) + typed[:2] + invisible + typed[2:].replace(" ", space) + space * padding
    assert normalise(country, typed) == normalise(country, text)


@given(COUNTRIES, st.integers(0, 10**9))
def test_a_number_is_its_text(country, number):
    """Integers, floats and decimals give the key of their digits."""
    expected = normalise(country, str(number))
    assert (
        normalise(country, number)
        == normalise(country, float(number))
        == normalise(country, Decimal(number))
        == expected
    )


@given(COUNTRIES, TYPED)
def test_a_key_stays_in_its_postal_system(country, typed):
    """A postcode may move a row to a served territory, never to a foreign country."""
    key = normalise(country, typed)
    assert key is None or system_of(key[0]) == system_of(country)
