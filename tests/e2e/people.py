"""Rows with many types, whose personal data and postcodes are easy to search for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

GOOGLE_KEY = "AIzaSyPlanted-8Jx2mQ4vT7wZ1bN5cR9dF3gH6k"
EMAIL = "quillfeather@planted.example"
ADDRESS = "Marzipan Crescent"
NAME = "Zebulonia"

DDL = """
CREATE TABLE people (
    id bigint PRIMARY KEY,
    first_name varchar(50),
    email text NOT NULL,
    address text,
    country char(2),
    postcode varchar(12),
    salary numeric(12, 2),
    active boolean,
    badge uuid DEFAULT gen_random_uuid(),
    born date,
    seen timestamptz,
    notes jsonb
)
"""
COLUMNS = """id, first_name, email, address, country::text AS country, postcode, salary, active,
             badge::text AS badge, born, seen, notes::text AS notes"""

FAILING = ("NL", "1012 JS")  # Google does not answer for this one
UNREADABLE = ("GB", "QX9 7ZZ")  # Google calls this one an invalid request
FOUND = [("US", "99553"), ("US", "60601"), ("GB", "SW1A 1AA"), ("DE", "10115"), ("FR", "75001"), ("CA", "T2P 2G8")]
REFUSED = ("CA", "K1A 0B1")  # asked when the key is refused


def person(number: int, place: tuple[str, str | None]) -> dict:
    """Return one row."""
    return {
        "id": number,
        "first_name": NAME,
        "email": f"{number}.{EMAIL}",
        "address": f"{number} {ADDRESS}",
        "country": place[0],
        "postcode": place[1],
        "salary": Decimal(f"{number}00.25"),
        "active": None if number == 3 else number % 2 == 0,
        "born": date(1900 + number, 2, 28),
        "seen": datetime(2021, 1, number, 10, 0, 0, 123456, tzinfo=UTC),
        "notes": f'{{"of": "{NAME} {number}"}}',
    }
