"""
The pipeline file: one YAML document describes one table's way to both sinks.

`load` reads and checks a file; every mistake is reported as a `SettingError`
that names the file, the field and the fix. The JSON Schema for editors is
`docs/pipeline.schema.json` (`python -m include.medallion schema`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from include.medallion.errors import SettingError

PIPELINES = Path(__file__).parents[1] / "pipelines"
Name = Annotated[str, Field(min_length=1, max_length=63)]
Names = Annotated[list[Name], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(min_length=1)]
GeocoderName = Literal["offline", "google_geocoding", "google_address_validation"]
DEFAULT_SCHEDULE = "* * * * *"
MANUAL = "manual"
AddedType = Literal["string", "long", "double", "boolean"]
Deletes = Literal["soft", "hard"]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Source(_Block):
    """The Bronze table."""

    connection: str = Field("bronze", description="Airflow connection of the source database")
    schema_: Name = Field("public", alias="schema", description="Postgres schema, as it is spelt in the catalogue")
    table: Name = Field(description="Postgres table, as it is spelt in the catalogue")
    key: Names = Field(description="columns of the primary key (or of a unique index)")
    exclude: list[Name] = Field([], description="columns that must not leave the source")
    read: Literal["xmin"] = Field("xmin", description="how changes are found: by transaction id")


class Geocode(_Block):
    """Postcodes to coordinates, by a built-in geocoder."""

    postcode: Name = Field(description="column that holds the postcode")
    country: str | None = Field(None, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code of every row")
    country_column: Name | None = Field(None, description="column that holds each row's ISO country code")
    geocoder: GeocoderName | None = Field(None, description="default: Google's if GOOGLE_API_KEY is set, else offline")
    calls_per_second: float = Field(40, gt=0, description="for the whole deployment, all mapped tasks together")
    concurrency: int = Field(8, ge=1, le=64, description="calls in flight in one mapped task")
    timeout_seconds: float = Field(10, gt=0, description="of one call")
    attempts: int = Field(5, ge=1, description="tries of one call before the task is retried")
    max_calls_per_run: int | None = Field(None, ge=0, description="budget; rows over it arrive as PENDING")
    keep_days: float = Field(30, gt=0, le=30, description="life of a found location (the provider's terms: 30)")
    keep_missing_days: float = Field(7, gt=0, description="life of the answer that there is none")

    @model_validator(mode="after")
    def _one_country(self) -> Geocode:
        if (self.country is None) == (self.country_column is None):
            raise ValueError("set exactly one of country (the same for all rows) and country_column")
        return self


class Function(_Block):
    """Columns computed from distinct keys by the user's own Python function."""

    call: str = Field(pattern=r"^[\w.]+:\w+$", description="module:function; gets a pyarrow.Table of distinct keys")
    keys: Names = Field(description="columns the function needs")
    adds: dict[Name, AddedType] = Field(min_length=1, description="columns it returns, with their types")
    keep_days: float = Field(30, gt=0, description="life of a cached answer")


class Enrich(_Block):
    """What is added to each row: exactly one of the two."""

    geocode: Geocode | None = None
    function: Function | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Enrich:
        if (self.geocode is None) == (self.function is None):
            raise ValueError("set exactly one of geocode and function")
        return self


class Parts(_Block):
    """How a window is cut into mapped tasks."""

    rows: int = Field(1_000_000, ge=1, description="rows that one part is meant to hold")
    keys: int = Field(2_000, ge=1, description="keys to ask a metered geocoder or a function for, in one part")
    most: int = Field(10, ge=1, le=1024, description="parts of one run (Airflow's max_map_length is 1024)")
    at_once: int = Field(4, ge=1, description="parts enriched at the same time; calls_per_second is divided among them")


class Silver(_Block):
    """The Snowflake table."""

    connection: str = Field("silver", description="Airflow connection of the Snowflake account")
    table: Name = Field(description="table in the connection's database and schema")


class Gold(_Block):
    """The Delta table."""

    table: Name = Field(pattern=r"^[\w.=-]+$", description="folder of the table below AWS_URI")


class Quarantine(_Block):
    """What happens to rows that break the contract."""

    max_share: float = Field(0.2, ge=0, le=1, description="a run with a larger share of bad rows fails")
    tolerate: int = Field(20, ge=0, description="bad rows that never fail a run, whatever their share")


class Pipeline(_Block):
    """One Postgres table, its enrichment and its two sinks."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file's name; not set in the file")
    source: Source
    enrich: Enrich
    silver: Silver
    gold: Gold
    parts: Parts = Parts()
    quarantine: Quarantine = Quarantine()
    deletes: Deletes = Field("soft", description="of rows that the source lost: set _deleted_at, or remove the row")
    schedule: str = Field(DEFAULT_SCHEDULE, description="cron, @continuous, or manual; MEDALLION_SCHEDULE overrides it")

    @model_validator(mode="after")
    def _columns_exist_once(self) -> Pipeline:
        needed = set(self.source.key) | set(self.enrichment_columns)
        if lost := needed & set(self.source.exclude):
            raise ValueError(f"source.exclude names columns that the pipeline needs: {sorted(lost)}")
        return self

    @property
    def enrichment_columns(self) -> list[str]:
        """Source columns that the enrichment reads."""
        if geocode := self.enrich.geocode:
            return [c for c in (geocode.country_column, geocode.postcode) if c]
        return list(self.enrich.function.keys)

    @property
    def dag_id(self) -> str:
        """`medallion_<pipeline>`."""
        return f"medallion_{self.name}"


def airflow_schedule(wished: str = DEFAULT_SCHEDULE) -> str | None:
    """Return a file's schedule as Airflow takes it, overridden by the environment; None to run when triggered only."""
    chosen = os.environ.get("MEDALLION_SCHEDULE") or wished
    return None if chosen == MANUAL else chosen


def json_schema() -> dict:
    """Return the JSON Schema of a pipeline file."""
    schema = Pipeline.model_json_schema(by_alias=True)
    schema["properties"].pop("name")
    schema["required"].remove("name")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Medallion pipeline"}


def folder() -> Path:
    """Where the pipeline files are: `MEDALLION_PIPELINES`, or `include/pipelines`."""
    return Path(os.environ.get("MEDALLION_PIPELINES") or PIPELINES)


def files() -> list[Path]:
    """All pipeline files, by name."""
    return sorted(p for p in folder().glob("*.y*ml") if p.suffix in {".yaml", ".yml"})


def name_of(file: Path) -> str:
    """Return the pipeline name that a file's own name gives."""
    return re.sub(r"\W", "_", file.stem)


def load(file: Path) -> Pipeline:
    """
    Read one pipeline file.

    Raises:
        SettingError: the file is no YAML or breaks the model; the message has
            a line per mistake, with the field and the fix.
    """
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise SettingError(f"{file}: cannot be read as YAML: {e}") from None
    if not isinstance(document, dict):
        raise SettingError(f"{file}: must be a mapping with source, enrich, silver and gold")
    try:
        return Pipeline.model_validate({**document, "name": name_of(file)})
    except ValidationError as e:
        raise SettingError("\n".join(_complaint(file, error) for error in e.errors())) from None


def find(name: str) -> Pipeline:
    """
    Load the pipeline of this name.

    Raises:
        SettingError: no file describes it; the message lists the names there are.
    """
    known = {name_of(f): f for f in files()}
    if name not in known:
        raise SettingError(f"no pipeline {name!r} in {folder()}: there are {sorted(known) or 'none'}")
    return load(known[name])


def _complaint(file: Path, error: dict) -> str:
    field = ".".join(str(p) for p in error["loc"]) or "(the whole file)"
    if error["type"] == "extra_forbidden":
        return f"{file}: {field}: unknown setting; remove it or check its spelling (docs/pipeline.schema.json)"
    if error["type"] == "missing":
        return f"{file}: {field}: is required; add it"
    return f"{file}: {field}: {error['msg'].removeprefix('Value error, ')}"
