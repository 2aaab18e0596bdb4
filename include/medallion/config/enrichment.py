"""The `enrich` section of a pipeline file: which columns are added to each row, and how calls are limited."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from include.medallion.config.countries import suggest, to_alpha2
from include.medallion.config.countries.alpha2 import ALPHA2

Name = Annotated[str, Field(min_length=1, max_length=63)]
_one_name = BeforeValidator(lambda v: [v] if isinstance(v, str) else v, json_schema_input_type=Name | list[Name])
Names = Annotated[list[Name], _one_name, Field(min_length=1)]
FunctionPath = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
GeocoderName = Literal["offline", "google_geocoding", "google_address_validation"]


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
AddedType = Literal["string", "long", "double", "boolean"]
Expire = Literal["null_out", "keep"]
OnUnresolved = Literal["warn", "fail"]
GEOCODE_COLUMNS = (
    *("latitude", "longitude", "geocode_status", "geocode_precision", "geocode_radius_m"),
    *("place_id", "geocode_provider", "geocoded_at"),
)
"""Names of the columns that geocoding adds."""


class Settings(BaseModel):
    """A mapping in the file; an unknown setting is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LookupSettings(Settings):
    """Rate limit, concurrency, retries, circuit breaker, call budgets and time-to-live of an enrichment's look-ups."""

    calls_per_second: float | None = Field(
        default=None, gt=0, description="rate limit of the whole deployment; default: unlimited"
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="calls in flight in one mapped task")
    max_attempts: int = Field(default=5, ge=1, description="attempts for one call before the task is retried")
    max_consecutive_failures: int = Field(
        default=20,
        ge=1,
        description="circuit breaker: failed calls in a row, over all keys, before the task is retried",
    )
    max_calls_per_run: int | None = Field(
        default=None, ge=0, description="call budget of one run; rows over it arrive as PENDING"
    )
    max_calls_per_day: int | None = Field(
        default=None, ge=0, description="call budget of a UTC day, shared by all pipelines that use this provider"
    )
    price_per_1000: float | None = Field(
        default=None, ge=0, description="US dollars for 1000 calls; default: the list price"
    )
    keep_days: float = Field(default=30, gt=0, description="time-to-live of a result, in days")
    expire: Expire = Field(
        default="null_out", description="what a refresh does with an expired result that it cannot renew"
    )


class GeocodeSettings(LookupSettings):
    """Postcodes to coordinates, by a built-in geocoder."""

    postcode: Name = Field(description="column that holds the postcode")
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
        return self

    @property
    def reads(self) -> list[str]:
        """Columns that form the key."""
        return [c for c in (self.country_column, self.postcode) if c]

    @property
    def columns(self) -> list[str]:
        """Columns added to rows."""
        return [self.prefix + name for name in GEOCODE_COLUMNS]

    @property
    def tracks_age(self) -> bool:
        """Whether rows hold the status and the time of their look-up."""
        return True


class FunctionSettings(LookupSettings):
    """Columns computed from distinct keys by the user's own Python function."""

    call: FunctionPath = Field(description="module:function; receives a pyarrow.Table of distinct keys")
    keys: Names = Field(description="columns that form the key, including those that an earlier enrichment adds")
    returns: dict[Name, AddedType] = Field(min_length=1, description="columns that the function returns, with types")
    keys_per_call: int = Field(default=1000, ge=1, description="upper limit of distinct keys in one call")
    status_prefix: Name | None = Field(
        default=None,
        description="adds the columns <status_prefix>_status and <status_prefix>_at, which a call budget and the "
        "daily refresh need",
    )

    @model_validator(mode="after")
    def _budget_has_a_status(self) -> FunctionSettings:
        if self.status_prefix is None and not (self.max_calls_per_run is self.max_calls_per_day is None):
            raise ValueError("set status_prefix: with a call budget, rows may be PENDING and need a status column")
        return self

    @property
    def reads(self) -> list[str]:
        """Columns that form the key."""
        return list(self.keys)

    @property
    def columns(self) -> list[str]:
        """Columns added to rows."""
        status = [f"{self.status_prefix}_status", f"{self.status_prefix}_at"] if self.tracks_age else []
        return [*self.returns, *status]

    @property
    def tracks_age(self) -> bool:
        """Whether rows hold the status and the time of their look-up."""
        return self.status_prefix is not None


class EnrichmentSettings(Settings):
    """One enrichment: exactly one of geocode and function."""

    geocode: GeocodeSettings | None = None
    function: FunctionSettings | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> EnrichmentSettings:
        if (self.geocode is None) == (self.function is None):
            raise ValueError("set exactly one of geocode and function")
        return self

    @property
    def settings(self) -> GeocodeSettings | FunctionSettings:
        """The settings of the kind that is set."""
        chosen = self.geocode or self.function
        if chosen is None:
            raise ValueError("set exactly one of geocode and function")
        return chosen
