"""Geocoding by street address: the normalised address is the key, and the provider's verdict a further column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.sections.geocoding import VERDICT_COLUMN, GeocodeSettings
from include.medallion.geocoders.location import LOCATED, LocateAddress, Status
from include.medallion.geocoders.postcodes import UNKNOWN, normalise_columns, read_countries
from include.medallion.geocoders.postcodes.addresses import normalise_address
from include.medallion.lookups.enrichment import Call, Enrichment
from include.medallion.model.keys import Key

CACHE_TABLE = "lookups_addresses"
_VERDICT = pa.field(VERDICT_COLUMN, pa.string())


def by_address(postcodes: Enrichment, settings: GeocodeSettings, call: Call) -> Enrichment:
    """
    Return the enrichment that looks addresses up instead of postcodes.

    Args:
        postcodes: the enrichment that the same settings make without an address.
        call: makes a table, with the columns of `answers`, of what is located.
    """
    return replace(
        postcodes,
        cache=CACHE_TABLE,
        key=pa.schema([*postcodes.key, ("address", pa.string())]),
        answers=pa.schema([*postcodes.answers, _VERDICT]),
        normalise=partial(_keys, settings, settings.address or []),
        call=call,
        settle=_settle,
    )


def locate_addresses(locate: LocateAddress, keys: Sequence[Key]) -> pa.RecordBatch:
    """Return a row of LOCATED for each key."""
    return pa.RecordBatch.from_pylist([locate(*key)._asdict() for key in keys], schema=LOCATED)


def _keys(settings: GeocodeSettings, address: Sequence[str], columns: Sequence[pa.Array]) -> list[Key | None]:
    """Return (country, postcode, address); None for a row without postcode and address."""
    streets = columns[len(columns) - len(address) :]
    postcodes = columns[len(columns) - len(address) - 1]
    spelled = columns[0] if settings.country_column else pa.repeat(settings.country, len(postcodes))
    found = normalise_columns(spelled, postcodes, settings.default_country, restore=settings.restore_leading_zeros)
    countries = pc.coalesce(found[0], read_countries(spelled, settings.default_country))
    texts = map(normalise_address, zip(*(column.to_pylist() for column in streets), strict=True))
    keys = zip(countries.to_pylist(), pc.fill_null(found[1], "").to_pylist(), texts, strict=True)
    return [key if key[1] or key[2] else None for key in keys]


def _settle(keys: list[Key]) -> pa.Array:
    """Return the status of keys whose country is unknown: an address with an odd postcode may still be found."""
    return pa.array([str(Status.UNKNOWN_COUNTRY) if key[0] == UNKNOWN else None for key in keys], pa.string())
