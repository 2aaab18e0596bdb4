"""What the names and contents of columns say."""

from __future__ import annotations

import pytest

from include.medallion.errors import ContractBroken, SchemaChanged, Transient
from include.medallion.onboarding.plan.report import EXIT_CODES, Plan
from include.medallion.onboarding.suggest import country_of
from include.medallion.onboarding.words import country_prefix, personal_mask, postcode_prefix


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        *(("zip", ""), ("ZIP", ""), ("zip_code", ""), ("PostalCode", ""), ("BillingPostalCode", "billing")),
        *(("ship_postal_code", "ship"), ("home_address_zip", "home_address"), ("PLZ", ""), ("postcode", "")),
        *(("zip_file", None), ("post_id", None), ("posted_at", None), ("region_code", None), ("gzip", None)),
    ],
)
def test_postcodes_by_name(name, prefix):
    """Words for a postcode in several languages and spellings, with what stands before."""
    assert postcode_prefix(name) == prefix


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        *(
            ("country", ""),
            ("Country", ""),
            ("ship_country", "ship"),
            ("country_code", ""),
            ("billing_country", "billing"),
        ),
        *(("county", None), ("island", None), ("landlord", None), ("country_id", None), ("landmark", None)),
    ],
)
def test_countries_by_name(name, prefix):
    """A country beside a postcode has the same words before it."""
    assert country_prefix(name) == prefix


@pytest.mark.parametrize(
    "name",
    [
        *("email", "EmailAddress", "customer_email", "first_name", "LastName", "contact_name", "home_phone", "Fax"),
        *("mobile_no", "date_of_birth", "BirthDate", "ssn", "passport_number", "iban", "address", "address_line_1"),
        *("ip_address", "password_hash", "gender", "salary", "username"),
    ],
)
def test_personal_columns_by_name(name):
    """Columns of people are suggested to be masked."""
    assert personal_mask(name)


@pytest.mark.parametrize(
    "name",
    [
        *("id", "name", "company_name", "address_id", "email_sent_at", "phone_verified", "product_name", "title"),
        *("city", "country", "contact_title", "password_changed_at", "sextant", "wages_total", "email_count"),
    ],
)
def test_other_columns_by_name(name):
    """A flag, a count or a name of a thing is not personal."""
    assert personal_mask(name) is None


@pytest.mark.parametrize(
    ("values", "country"),
    [
        (["98052", "10001", "60031", "11377", "94105", "33101-1234"], "US"),
        (["V8P 1A1", "K1A 0B1", "M5V 2T6", "H2Y 1C6", "T2P 5E9"], "CA"),
        (["1012 AB", "3011 AA", "2511 CV", "3511 LN", "5611 AZ"], "NL"),
        (["98052", "10001"], None),
        (["1010", "1020", "8010", "4020", "5020"], None),
        (["A1", "B2", "C3", "D4", "E5"], None),
    ],
)
def test_the_country_of_postcodes(values, country):
    """By their letters, or because the offline geocoder knows most of them; otherwise a person must say."""
    assert country_of(values) == country


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([], 0),
        ([Transient("down")], 75),
        ([OSError("what a library raises when storage is down")], 75),
        ([SchemaChanged("asks"), Transient("down")], 3),
        ([Transient("down"), ContractBroken("no key"), SchemaChanged("asks")], 1),
    ],
)
def test_the_gravest_finding_decides_the_exit_code(failures, code):
    """What a person must change comes before what one must approve, and that before what may pass by itself."""
    plan = Plan("one")
    plan.note("worth knowing")
    for failure in failures:
        with plan.finding_failures():
            raise failure
    assert EXIT_CODES[plan.gravest] == code
