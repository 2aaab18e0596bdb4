"""Every spelling of a country gives its ISO 3166-1 alpha-2 code, or none."""

import subprocess
import sys
from pathlib import Path

import pytest
from babel import Locale, languages, localedata
from babel.core import get_global

from include.medallion.config.countries import suggest, to_alpha2
from include.medallion.config.countries.alpha2 import ALPHA2
from include.medallion.config.countries.names import alpha2_codes, english_names

ROOT = Path(__file__).parents[2]
CODES = sorted(alpha2_codes())


def test_the_codes_that_are_known_without_a_library_are_those_of_cldr():
    """A new or withdrawn country of CLDR must be added to, or taken out of, the list."""
    assert alpha2_codes() == ALPHA2


@pytest.mark.parametrize(
    ("country", "spellings"),
    [
        (
            "US",
            ["US", "us", " US ", "USA", "U.S.A.", "U.S.", "U. S. A.", "840", 840, 840.0, "840.0", "\uff35\uff33\uff21"],
        ),
        ("US", ["United States", "united states of america", "THE UNITED STATES OF AMERICA", "United States (US)"]),
        (
            "US",
            ["Vereinigte Staaten", "États-Unis", "Etats Unis", "Estados Unidos", "アメリカ合衆国", "アメリカ", "США"],
        ),
        ("GB", ["GB", "GBR", "UK", "U.K.", "826", "Great Britain", "United Kingdom", "England", "Scotland", "Wales"]),
        (
            "GB",
            [
                "Northern Ireland",
                "Großbritannien",
                "Royaume-Uni",
                "Reino Unido",
                "Britain",
                "England, UK",
                "N. Ireland",
            ],
        ),
        ("DE", ["DE", "DEU", "GER", "Germany", "Deutschland", "Allemagne", "Alemania", "ドイツ", "Германия"]),
        ("DE", ["Federal Republic of Germany", "Germany / Deutschland", "DE - Germany", "ger\u200bmany"]),
        ("NL", ["NLD", "Netherlands", "The Netherlands", "Netherlands (the)", "Holland", "Nederland", "Pays-Bas"]),
        ("AT", ["Österreich", "Oesterreich", "OESTERREICH", "osterreich", "O\u0308sterreich", "Austria", "040", 40]),
        (
            "CI",
            ["Côte d'Ivoire", "Côte d\u2019Ivoire", "Cote d'Ivoire", "COTE D`IVOIRE", "Cote dIvoire", "Ivory Coast"],
        ),
        ("TR", ["Türkiye", "TÜRKİYE", "Turkiye", "Turkey", "Türkei", "Tuerkei"]),
        ("CH", ["Schweiz", "Suisse", "Svizzera", "Switzerland", "CHE"]),
        ("BE", ["Belgium", "België", "Belgique", "Belgien", "Belgium/België"]),
        ("CZ", ["Czech Republic", "Czechia", "Česko", "Česká republika", "Tschechien"]),
        ("KR", ["South Korea", "Korea, Republic of", "Republic of Korea", "Korea (South)", "Korea, Rep.", "대한민국"]),
        ("KP", ["North Korea", "Korea, Democratic People's Republic of", "DPRK"]),
        ("CD", ["Congo, Dem. Rep.", "Democratic Republic of the Congo", "Congo (Kinshasa)", "DRC", "Zaire"]),
        ("CG", ["Congo, Rep.", "Republic of the Congo", "Congo-Brazzaville", "COG"]),
        ("CN", ["China", "People's Republic of China", "PRC", "中国", "中國"]),
        ("TW", ["Taiwan", "Taiwan, Province of China", "台灣", "臺灣", "Republic of China"]),
        ("RU", ["Russia", "Russian Federation", "Россия"]),
        ("IE", ["Ireland", "Éire", "Republic of Ireland"]),
        ("ES", ["España", "Spain", "Spanien", "IC", "EA", "Canary Islands", "Islas Canarias", "Ceuta", "Melilla"]),
        ("PT", ["Portugal", "Azores", "Açores", "Madeira"]),
        ("SJ", ["Svalbard", "Jan Mayen", "Spitsbergen", "Svalbard and Jan Mayen"]),
        ("BL", ["Saint Barthélemy", "St. Barts", "St Barth"]),
        ("GR", ["Greece", "Ελλάδα", "ΕΛΛΆΔΑ", "Hellas", "EL"]),
        ("IN", ["India", "भारत", "IND"]),
        ("VI", ["U.S. Virgin Islands", "Virgin Islands, U.S.", "Virgin Islands (U.S.)"]),
        ("MO", ["Macau", "Macao", "Macao SAR, China"]),
        ("FM", ["Micronesia, Federated States of", "Micronesia, Fed. Sts."]),
        ("LC", ["St. Lucia", "Saint Lucia", "St Lucia", "Sainte-Lucie"]),
        ("BA", ["Bosnia and Herzegovina", "Bosnia & Herzegovina", "Bosnia-Herzegovina"]),
        ("GM", ["Gambia", "The Gambia", "Gambia, The"]),
        ("AU", ["036", "36", 36]),
        ("CA", ["CA", "Canada", "CAN"]),
        ("GE", ["Georgia", "Republic of Georgia"]),
        ("XK", ["Kosovo", "XK", "XKX"]),
        ("MM", ["Myanmar", "Burma", "BU"]),
        ("NO", ["NO", "Norge", "Noreg", "Norway"]),
    ],
)
def test_every_spelling_is_understood(country, spellings):
    """Codes, names in many languages, short and formal forms, in any case, with or without accents."""
    assert {spelling: to_alpha2(spelling) for spelling in spellings} == dict.fromkeys(spellings, country)


@pytest.mark.parametrize(
    "spelling",
    [
        *("", " ", "-", "N/A", "none", "unknown", "Atlantis", "Europe", "EU", "XX", "ZZ", "QQQ", "999", 0, -1, 84.5),
        *("Congo", "Kongo", "CONGO", "Korea", "Corea", "Virgin Islands", "America", "Georgia (US)", "State of Georgia"),
        *("SU", "AN", "YU", "Yugoslavia", "Republic", "the", "D", "北", "1 2", "U", "\u0000", "²", "False"),
    ],
)
def test_what_is_no_country_or_several_is_not_guessed(spelling):
    """A name that two countries share, a union, a dissolved country and a placeholder have no code."""
    assert to_alpha2(spelling) is None


@pytest.mark.parametrize("code", CODES)
def test_all_codes_and_the_english_name_agree(code):
    """Alpha-2, alpha-3, numeric and English name of a country give the same code."""
    aliases = get_global("territory_aliases")
    others = [old for old, new in aliases.items() if new == [code]]
    assert code == "XK" or sum(len(old) == 3 and old.isalpha() for old in others) >= 1
    for spelling in (code, code.lower(), *others, english_names()[code], english_names()[code].upper()):
        assert to_alpha2(spelling) == code, spelling


@pytest.mark.parametrize("code", CODES)
def test_a_country_is_known_by_its_own_name(code):
    """The name of a country in each of its official languages gives its code, unless another country shares it."""
    for language in filter(localedata.exists, languages.get_official_languages(code)):
        name = Locale.parse(language).territories.get(code)
        assert name is None or to_alpha2(name) in {code, *_shared(name)}, (language, name)


def _shared(name):
    return {None} if name.casefold() in {"congo", "kongo", "kôngô", "kongó"} else set()


def test_a_misspelled_name_has_suggestions():
    """The closest English names are offered with their codes."""
    assert suggest("Germny")[0] == "Germany (DE)"
    assert {"South Korea (KR)", "North Korea (KP)"} <= {*suggest("Korea")}
    assert {*suggest("Congo")[:2]} == {"Congo - Kinshasa (CD)", "Congo - Brazzaville (CG)"}
    assert {*suggest("Virgin Islands")[:2]} == {"British Virgin Islands (VG)", "U.S. Virgin Islands (VI)"}
    assert suggest("☃") == []


def test_only_what_is_needed_is_loaded():
    """An ISO code loads neither the other languages nor anything that holds Babel's data in memory."""
    program = """
from babel import localedata
from include.medallion.config.countries import names, to_alpha2
assert to_alpha2("US") == "US" and to_alpha2("Germany") == "DE"
assert names.by_words.cache_info().currsize == 1
assert to_alpha2("nowhere at all") is None
assert not localedata._cache
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
