"""The `enrich` section of a pipeline file: which columns are added to each row."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from include.medallion.config.sections.geocoding import GEOCODE_COLUMNS, GeocoderName, GeocodeSettings
from include.medallion.config.sections.lookup_settings import FunctionPath, LookupSettings, Name, Names, Settings

__all__ = [
    "GEOCODE_COLUMNS",
    "EnrichmentSettings",
    "FunctionPath",
    "FunctionSettings",
    "GeocodeSettings",
    "GeocoderName",
    "LookupSettings",
    "Name",
    "Names",
    "Settings",
]

AddedType = Literal["string", "long", "double", "boolean"]


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
        if self.status_prefix is None and self.has_budget:
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
    def declared_types(self) -> dict[str, str]:
        """Types of the columns that the function returns."""
        return dict(self.returns)

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
