"""The `geocode` section of a pipeline file: which columns are looked up where, and what is added to each row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from include.medallion.config.countries import suggest, to_alpha2
from include.medallion.config.countries.alpha2 import ALPHA2
from include.medallion.config.sections.lookup_settings import LookupSettings, Name, Names, Settings

GeocoderName = Literal["offline", "table", "google_geocoding", "google_address_validation"]
FREE_GEOCODERS = frozenset({"offline", "table"})
"""Those whose calls cost nothing, and whose answers do not expire."""


def _alpha2(country: object) -> object:
    """Return the ISO code of a country in the file, however it is spelled; None stays None."""
    if country is None or (isinstance(country, str) and country in ALPHA2):
        return country
    if isinstance(country, bool):
        word = "YES, ON or Y is true" if country else "NO, OFF or N is false"
        raise ValueError(f"in YAML an unquoted {word}: put the country in quotes, such as 'NO' for Norway")  # noqa: TRY004 (pydantic's way)
    if found := to_alpha2(country):
        return found
    similar = suggest(country)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "use its ISO 3166-1 code."
    raise ValueError(f"{country!r} is no country, or the name of several: {hint} DE, DEU and Germany are all read")


Country = Annotated[str, BeforeValidator(_alpha2, json_schema_input_type=str | int)]
LakePath = Annotated[str, Field(pattern=r"^[\w.=-]+(/[\w.=-]+)*$", max_length=200)]
OnUnresolved = Literal["warn", "fail"]
GEOCODE_COLUMNS = (
    *("latitude", "longitude", "geocode_status", "geocode_precision", "geocode_radius_m"),
    *("place_id", "geocode_provider", "geocoded_at"),
)
"""Names of the columns that geocoding adds."""
H3_COLUMN, VERDICT_COLUMN = "h3_cell", "geocode_verdict"


class TableSettings(Settings):
    """Your own table of places, for `geocoder: table`. Columns have the names that `places import` gives them."""

    delta: LakePath | None = Field(default=None, description="Delta table below AWS_URI; default: places")
    parquet: LakePath | None = Field(default=None, description="Parquet file, or a folder of them, below AWS_URI")
    postgres: Name | None = Field(default=None, description="table or view in the source's database: schema.table")
    country: Country | None = Field(
        default=None, description="country of every place, if the table has no column for it"
    )
    country_column: Name = Field(default="country", description="column with the country: ISO codes or names")
    postcode: Name = Field(default="postcode", description="column with the postcode, in any spelling")
    latitude: Name = Field(default="latitude", description="column with the latitude, in degrees (WGS 84)")
    longitude: Name = Field(default="longitude", description="column with the longitude, in degrees (WGS 84)")
    radius_m: Name | None = Field(default=None, description="column with the radius of the place, in metres")
    precision: Name | None = Field(default=None, description="column with the precision; default: POSTCODE, or AREA")
    place_id: Name | None = Field(default=None, description="column with your id of the place")

    @model_validator(mode="after")
    def _one_place(self) -> TableSettings:
        if len([name for name in (self.delta, self.parquet, self.postgres) if name]) > 1:
            raise ValueError("set only one of delta, parquet and postgres: where the table is")
        return self


class GeocodeSettings(LookupSettings):
    """Postcodes to coordinates, by a built-in geocoder."""

    postcode: Name = Field(description="column that holds the postcode")
    address: Names | None = Field(
        default=None, description="columns of the street address, in order; for a geocoder that takes whole addresses"
    )
    country: Country | None = Field(default=None, description="country of every row: an ISO 3166-1 code or a name")
    country_column: Name | None = Field(
        default=None, description="column that holds each row's country: ISO codes or names"
    )
    default_country: Country | None = Field(default=None, description="country of rows whose country_column is empty")
    restore_leading_zeros: bool = Field(
        default=False, description="read a US postcode 501 as 00501; default: INVALID_POSTCODE"
    )
    geocoder: GeocoderName | None = Field(
        default=None, description="default: Google's if GOOGLE_API_KEY is set, else offline"
    )
    table: TableSettings | None = Field(default=None, description="where your table is, for `geocoder: table`")
    calls_per_second: float = Field(
        default=40, gt=0, description="rate limit of the whole deployment, all mapped tasks"
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="calls in flight in one mapped task")
    timeout_seconds: float = Field(default=10, gt=0, description="time limit of one call")
    keep_days: float = Field(
        default=30, gt=0, description="time-to-live of a location, in days; at most what the provider's terms allow"
    )
    keep_missing_days: float = Field(
        default=7, gt=0, description="time-to-live of a result without a location, in days"
    )
    h3: int | None = Field(
        default=None, ge=0, le=15, description="adds h3_cell, the H3 cell of the coordinate at this resolution"
    )
    max_unresolved_share: float = Field(
        default=0.5, ge=0, le=1, description="a run in which a larger share of the keys has no location warns"
    )
    min_unresolved_keys: int = Field(
        default=20, ge=1, description="a run with fewer keys never warns because of keys without a location"
    )
    on_unresolved: OnUnresolved = Field(
        default="warn", description="whether a run above max_unresolved_share warns, or fails before it writes a sink"
    )
    prefix: str = Field(
        default="", pattern=r"^[a-z0-9_]*$", max_length=40, description="prefix of the added columns' names"
    )

    @model_validator(mode="after")
    def _one_country(self) -> GeocodeSettings:
        if (self.country is None) == (self.country_column is None):
            raise ValueError("set exactly one of country (the same for all rows) and country_column")
        if self.default_country and not self.country_column:
            raise ValueError("default_country is for rows without one: set country_column, too")
        if self.table and self.geocoder != "table":
            raise ValueError("table says where your own places are: set geocoder: table, too")
        return self

    @property
    def reads(self) -> list[str]:
        """Columns that form the key."""
        return [c for c in (self.country_column, self.postcode, *(self.address or ())) if c]

    @property
    def columns(self) -> list[str]:
        """Columns added to rows."""
        further = [*([VERDICT_COLUMN] if self.address else []), *([] if self.h3 is None else [H3_COLUMN])]
        return [self.prefix + name for name in (*GEOCODE_COLUMNS, *further)]

    @property
    def declared_types(self) -> dict[str, str]:
        """What decides values of added columns beside their names; another one makes other values."""
        return {} if self.h3 is None else {self.prefix + H3_COLUMN: f"resolution {self.h3}"}

    @property
    def tracks_age(self) -> bool:
        """Whether rows hold the status and the time of their look-up."""
        return True
