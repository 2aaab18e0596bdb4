"""
The pipeline file: one YAML document describes one table's way to both sinks.

`load` reads and checks a file; every mistake is reported as a `SettingError`
that names the file, the field and the fix. The JSON Schema for editors is
`docs/pipeline.schema.json` (`python -m include.medallion schema`).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from include.medallion.config.enrichment import EnrichmentSettings, Name, Names, Settings

_one_enrichment = BeforeValidator(
    lambda v: v if isinstance(v, list) else [v], json_schema_input_type=EnrichmentSettings | list[EnrichmentSettings]
)
DEFAULT_SCHEDULE = "* * * * *"
MANUAL = "manual"
Deletes = Literal["soft", "hard"]


class Source(Settings):
    """The Bronze table."""

    connection: str = Field("bronze", description="Airflow connection of the source database")
    schema_: Name = Field("public", alias="schema", description="Postgres schema, as it is spelt in the catalogue")
    table: Name = Field(description="Postgres table, as it is spelt in the catalogue")
    key: Names = Field(description="columns of the primary key (or of a unique index)")
    exclude: list[Name] = Field([], description="columns that must not leave the source")
    read: Literal["xmin"] = Field("xmin", description="how changes are found: by transaction id")


class Parts(Settings):
    """How a window is cut into mapped tasks."""

    rows: int = Field(1_000_000, ge=1, description="rows that one part is meant to hold")
    keys: int = Field(2_000, ge=1, description="keys to ask a metered geocoder or a function for, in one part")
    most: int = Field(10, ge=1, le=1024, description="parts of one run (Airflow's max_map_length is 1024)")
    chunk_mb: int = Field(
        128,
        ge=1,
        description="megabytes of the table that are read at a time, less if parts are smaller: a killed extract goes "
        "on after the last",
    )
    max_parallel_parts: int = Field(
        4, ge=1, description="parts enriched at the same time; calls_per_second is divided among them"
    )


class Silver(Settings):
    """The Snowflake table."""

    connection: str = Field("silver", description="Airflow connection of the Snowflake account")
    table: Name = Field(description="table in the connection's database and schema")


class Gold(Settings):
    """The Delta table."""

    table: Name = Field(pattern=r"^[\w.=-]+$", description="folder of the table below AWS_URI")


class Quarantine(Settings):
    """What happens to rows that break the contract."""

    max_share: float = Field(0.2, ge=0, le=1, description="a run with a larger share of bad rows fails")
    min_bad_rows: int = Field(20, ge=0, description="bad rows that never fail a run, whatever their share")


class Pipeline(Settings):
    """One Postgres table, its enrichment and its two sinks."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file's name; not set in the file")
    source: Source
    enrich: Annotated[
        list[EnrichmentSettings], _one_enrichment, Field(min_length=1, description="one, or several in order")
    ]
    silver: Silver
    gold: Gold
    parts: Parts = Parts()
    quarantine: Quarantine = Quarantine()
    deletes: Deletes = Field("soft", description="of rows that the source lost: set _deleted_at, or remove the row")
    schedule: str = Field(DEFAULT_SCHEDULE, description="cron, @continuous, or manual; MEDALLION_SCHEDULE overrides it")

    @model_validator(mode="after")
    def _excludes_nothing_needed(self) -> Pipeline:
        needed = set(self.source.key) | set(self.enrichment_columns)
        if lost := needed & set(self.source.exclude):
            raise ValueError(f"source.exclude names columns that the pipeline needs: {sorted(lost)}")
        return self

    @model_validator(mode="after")
    def _adds_no_column_twice(self) -> Pipeline:
        if twice := sorted(column for column, count in Counter(self.added_columns).items() if count > 1):
            raise ValueError(f"two enrichments add {twice}: give a geocode a prefix, or a function other names")
        return self

    @property
    def enrichment_columns(self) -> list[str]:
        """Source columns that the enrichments read: all but those that an enrichment before adds."""
        needed: dict[str, None] = {}
        added: set[str] = set()
        for enrich in self.enrich:
            needed |= dict.fromkeys(c for c in enrich.settings.reads if c not in added)
            added.update(enrich.settings.columns)
        return list(needed)

    @property
    def added_columns(self) -> list[str]:
        """Columns that the enrichments add, in order."""
        return [column for enrich in self.enrich for column in enrich.settings.columns]

    @property
    def ages(self) -> bool:
        """Whether its rows tell which answers are due: then the daily refresh looks at them."""
        return any(enrich.geocode or enrich.function.track for enrich in self.enrich)

    @property
    def dag_id(self) -> str:
        """`medallion_<pipeline>`."""
        return f"medallion_{self.name}"

    @property
    def sink_steps(self) -> dict[str, str]:
        """Name of the step that applies a batch to each sink, by the sink's name, in the order of a run."""
        steps = {"silver": "load_silver"} if self.silver else {}
        return steps | ({"gold": "write_gold"} if self.gold else {})

    @property
    def targets(self) -> set[tuple[str, str]]:
        """The tables that the pipeline writes to."""
        silver = {(f"silver {self.silver.connection}", self.silver.table.upper())} if self.silver else set()
        return silver | ({("gold", self.gold.table)} if self.gold else set())
