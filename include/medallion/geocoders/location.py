"""
What a geocoder answers, one `Location` per (country, postcode), and what it declares of itself.

A failure is never a coordinate: `latitude` and `longitude` are both numbers
when `status` is OK, and both None otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from include.medallion.config.sections.geocoding import TableSettings
from include.medallion.lake.object_store import Lake


class Status(StrEnum):
    """How a look-up ended; stored beside the coordinates in every layer."""

    OK = "OK"
    ZERO_RESULTS = "ZERO_RESULTS"  # the provider knows no such postcode
    WRONG_COUNTRY = "WRONG_COUNTRY"  # the only result lies in another country
    UNSUPPORTED = "UNSUPPORTED"  # the provider has no data for this country
    UNKNOWN_COUNTRY = "UNKNOWN_COUNTRY"  # the row's country is missing or unclear: nothing was looked up
    INVALID_POSTCODE = "INVALID_POSTCODE"  # a number with too few digits: nothing was looked up
    NO_POSTCODE = "NO_POSTCODE"  # the row has none: nothing was looked up
    PENDING = "PENDING"  # over budget: to be looked up later
    INVALID_REQUEST = "INVALID_REQUEST"  # the provider cannot read the key: quarantined


ADVICE: Mapping[str, str] = {
    Status.UNSUPPORTED: "the geocoder has no data of their countries: make offline-extras, or another geocoder",
    Status.ZERO_RESULTS: "the geocoder does not know the postcode in that country: check country or country_column",
    Status.UNKNOWN_COUNTRY: "the country is missing or unclear: set default_country, or check country_column",
    Status.INVALID_POSTCODE: "the postcode has too few digits: restore_leading_zeros reads 501 as 00501",
}
"""What to do if many keys have a status."""


ANSWERS = frozenset({Status.OK, Status.ZERO_RESULTS, Status.WRONG_COUNTRY})
"""Statuses that the provider was asked for and that are worth keeping."""


AREA = "AREA"
"""Precision of a postcode that stands for an area of many (GB OX1, CA V8P): the area's centre."""


class Location(NamedTuple):
    """Degrees (WGS 84) and how they were found."""

    status: Status
    latitude: float | None = None
    longitude: float | None = None
    precision: str | None = None  # AREA, or the provider's own word, e.g. APPROXIMATE
    place_id: str | None = None
    radius_m: float | None = None  # metres from the coordinate to the farthest part of the place; None: not known
    verdict: str | None = None  # of a street address: what to do about it, such as ACCEPT or FIX


LOCATED = pa.schema(
    [
        ("status", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("precision", pa.string()),
        ("place_id", pa.string()),
        ("radius_m", pa.float64()),
        ("verdict", pa.string()),
    ]
)
"""The fields of a `Location` as columns."""

Locate = Callable[[str, str], Location]
"""
A geocoder: (ISO 3166-1 alpha-2 country, normalised postcode) -> Location.

Raises ProviderRefused when no call can succeed until a person acts, Transient
when one may succeed later.
"""

LocateAddress = Callable[[str, str, str], Location]
"""A geocoder of street addresses: (country, postcode, normalised address) -> Location; raises as Locate does."""

LocateMany = Callable[[pa.Array, pa.Array], pa.RecordBatch]
"""A geocoder of columns: (countries, postcodes), as text -> a row of LOCATED for each."""


class Sources(NamedTuple):
    """Where tables of places can be read."""

    lake: Lake
    query: Callable[[str], pa.Table]  # runs a statement in the database of the pipeline's source


class Access(NamedTuple):
    """With what a geocoder is opened."""

    key: str  # empty if it needs none
    url: str  # empty: the provider's own
    connections: int
    timeout: float  # seconds of one call
    table: TableSettings | None = None  # of the user's own places
    sources: Sources | None = None
    restore_zeros: bool = False  # whether numbers in the table are read with their leading zeros


class Declaration(NamedTuple):
    """What a geocoder says of itself; each module of the package has one, named GEOCODER."""

    open: Callable[[Access], Locate]
    metered: bool  # calls go to a provider that counts them
    terms: str  # where its terms or licences are
    keep_days: float | None  # for which its terms let coordinates be kept; None: no bound
    list_price: float = 0.0  # US dollars for 1000 calls
    key_setting: str | None = None  # environment variable that holds its key
    url_setting: str | None = None  # environment variable that replaces its address
    open_address: Callable[[Access], LocateAddress] | None = None  # for street addresses, if it takes them
    open_many: Callable[[Access], LocateMany] | None = None  # gives its answers as columns, without a call for each
    data_version: Callable[[Access], str] | None = None  # of data that costs nothing: another one may know more
