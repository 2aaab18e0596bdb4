"""The part of a pipeline file that says what is added to each row, and what asking for it may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, max_length=63)]
_one_name = BeforeValidator(lambda v: [v] if isinstance(v, str) else v, json_schema_input_type=Name | list[Name])
Names = Annotated[list[Name], _one_name, Field(min_length=1)]
GeocoderName = Literal["offline", "google_geocoding", "google_address_validation"]


def _alpha2(country: object) -> object:
    """Return the ISO code of a country in the file, however it is spelled; None stays None."""
    from include.medallion.geocoders.countries import suggest, to_alpha2  # noqa: PLC0415 (only files with a geocode)

    if country is None:
        return None
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
GEOCODED = (
    *("latitude", "longitude", "geocode_status", "geocode_precision"),
    *("place_id", "geocode_provider", "geocoded_at"),
)
"""Names of the columns that geocoding adds."""


class Block(BaseModel):
    """A mapping in the file: unknown settings are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LookUps(Block):
    """How a provider is asked: how fast, how often, how patiently, and for how much."""

    calls_per_second: float | None = Field(None, gt=0, description="for the whole deployment; default: no bound")
    concurrency: int = Field(1, ge=1, le=64, description="calls in flight in one mapped task")
    attempts: int = Field(5, ge=1, description="tries of one call before the task is retried")
    give_up_after: int = Field(20, ge=1, description="failed calls in a row, over all keys, before the task is retried")
    max_calls_per_run: int | None = Field(None, ge=0, description="budget; rows over it arrive as PENDING")
    max_calls_per_day: int | None = Field(None, ge=0, description="budget of all that ask this provider, by UTC day")
    price_per_1000: float | None = Field(None, ge=0, description="US dollars for 1000 calls; default: the list price")
    keep_days: float = Field(30, gt=0, description="life of an answer")
    expire: Expire = Field("null_out", description="what a refresh does with an old answer that it cannot renew")


class Geocode(LookUps):
    """Postcodes to coordinates, by a built-in geocoder."""

    postcode: Name = Field(description="column that holds the postcode")
    country: Country | None = Field(None, description="country of every row: an ISO 3166-1 code or a name")
    country_column: Name | None = Field(None, description="column that holds each row's country: ISO codes or names")
    default_country: Country | None = Field(None, description="country of rows whose country_column is empty")
    restore_leading_zeros: bool = Field(False, description="read a US postcode 501 as 00501; default: INVALID_POSTCODE")
    geocoder: GeocoderName | None = Field(None, description="default: Google's if GOOGLE_API_KEY is set, else offline")
    calls_per_second: float = Field(40, gt=0, description="for the whole deployment, all mapped tasks together")
    concurrency: int = Field(8, ge=1, le=64, description="calls in flight in one mapped task")
    timeout_seconds: float = Field(10, gt=0, description="of one call")
    keep_days: float = Field(30, gt=0, le=30, description="life of a found location (the provider's terms: 30)")
    keep_missing_days: float = Field(7, gt=0, description="life of the answer that there is none")
    prefix: str = Field("", pattern=r"^[a-z0-9_]*$", max_length=40, description="begins the names of the added columns")

    @model_validator(mode="after")
    def _one_country(self) -> Geocode:
        if (self.country is None) == (self.country_column is None):
            raise ValueError("set exactly one of country (the same for all rows) and country_column")
        if self.default_country and not self.country_column:
            raise ValueError("default_country is for rows without one: set country_column, too")
        return self

    @property
    def reads(self) -> list[str]:
        """Columns that a key is made of."""
        return [c for c in (self.country_column, self.postcode) if c]

    @property
    def columns(self) -> list[str]:
        """Columns that rows get."""
        return [self.prefix + name for name in GEOCODED]


class Function(LookUps):
    """Columns computed from distinct keys by the user's own Python function."""

    call: str = Field(pattern=r"^[\w.]+:\w+$", description="module:function; gets a pyarrow.Table of distinct keys")
    keys: Names = Field(description="columns the function needs, also such as an enrichment above adds")
    adds: dict[Name, AddedType] = Field(min_length=1, description="columns it returns, with their types")
    keys_per_call: int = Field(1000, ge=1, description="distinct keys that one call of the function gets at most")
    track: Name | None = Field(None, description="adds <track>_status and <track>_at; the daily refresh needs them")

    @model_validator(mode="after")
    def _tracked_budget(self) -> Function:
        if self.track is None and not (self.max_calls_per_run is self.max_calls_per_day is None):
            raise ValueError("set track, the beginning of two more columns' names: with a budget, rows may be PENDING")
        return self

    @property
    def reads(self) -> list[str]:
        """Columns that a key is made of."""
        return list(self.keys)

    @property
    def columns(self) -> list[str]:
        """Columns that rows get."""
        return [*self.adds, *([f"{self.track}_status", f"{self.track}_at"] if self.track else [])]


class Enrich(Block):
    """One enrichment: exactly one of the two."""

    geocode: Geocode | None = None
    function: Function | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Enrich:
        if (self.geocode is None) == (self.function is None):
            raise ValueError("set exactly one of geocode and function")
        return self

    @property
    def settings(self) -> Geocode | Function:
        """The one that is set."""
        return self.geocode or self.function
