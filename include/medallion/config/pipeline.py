"""
The model of a pipeline file: one YAML document describes how one table reaches its sinks.

`files.load_file` reads and validates a file. The JSON Schema for editors is
`docs/pipeline.schema.json` (`python -m include.medallion schema`).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from include.medallion.config.checks.reserved import check_pipeline_name
from include.medallion.config.checks.schedules import check_schedule
from include.medallion.config.sections.columns import ColumnSettings
from include.medallion.config.sections.enrichment import EnrichmentSettings, Settings
from include.medallion.config.sections.expectations import Expectation, check_expectations
from include.medallion.config.sections.on_change import OnChange
from include.medallion.config.sections.schema_policies import SchemaChangeKind, SchemaPolicy, one_policy, policy_for
from include.medallion.config.sections.tables import Gold, Parts, Quarantine, Silver, Source, UserSink
from include.medallion.config.values.durations import Duration
from include.medallion.config.values.types import OutOfRangeSettings, TypeSettings
from include.medallion.errors import SettingError

_one_enrichment = BeforeValidator(
    lambda v: v if isinstance(v, list) else [v], json_schema_input_type=EnrichmentSettings | list[EnrichmentSettings]
)
DEFAULT_SCHEDULE = "* * * * *"
Repair = Literal["off", "missing", "all"]
_off_is_a_word = BeforeValidator(
    lambda v: "off" if v is False else v, json_schema_input_type=Repair
)  # to YAML it is not
Deletes = Literal["soft", "hard"]
SinkName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
_one_tag = BeforeValidator(lambda v: [v] if isinstance(v, str) else v, json_schema_input_type=Tag | list[Tag])


class Pipeline(Settings):
    """One Postgres table, its enrichments and its sinks."""

    name: Annotated[str, AfterValidator(check_pipeline_name)] = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="the file's name; not set in the file"
    )
    source: Source
    columns: ColumnSettings = Field(default_factory=ColumnSettings)
    enrich: Annotated[
        list[EnrichmentSettings], _one_enrichment, Field(default=[], description="one enrichment, or a list in order")
    ]
    expect: list[Expectation] = Field(default=[], description="rules that rows are expected to meet")
    silver: Silver | None = None
    gold: Gold | None = None
    sinks: dict[SinkName, UserSink] = Field(default={}, description="sinks that you wrote, by name")
    parts: Parts = Field(default_factory=Parts)
    quarantine: Quarantine = Field(default_factory=Quarantine)
    deletes: Deletes = Field(
        default="soft", description="rows deleted in the source: soft sets _deleted_at, hard removes the row"
    )
    on_schema_change: Annotated[dict[SchemaChangeKind, SchemaPolicy], one_policy] = Field(
        default={},
        description="evolve the sinks (default), freeze their columns, or fail; one word, or one for each kind",
    )
    types: TypeSettings = Field(
        default={},
        description="type in the sinks, by column of the source or by type of PostgreSQL: text, double or number(p,s)",
    )
    out_of_range: OutOfRangeSettings = Field(
        default={},
        description="dates and times that a sink cannot hold (infinity, BC, years above 9999, 24:00): quarantine the "
        "row (default), set them to null, or clamp them; one word, or one for each column, with a default",
    )
    max_reload_rows: int = Field(
        default=10_000_000, ge=0, description="a schema change that reads more rows than this again asks first"
    )
    max_delete_share: float = Field(
        default=0.2, ge=0, le=1, description="a reconcile that would delete a larger share of a sink's rows asks first"
    )
    min_deletes: int = Field(default=20, ge=0, description="a reconcile deletes at most this many rows without asking")
    repair: Annotated[Repair, _off_is_a_word] = Field(
        default="all",
        description="what a reconcile reads again and writes: missing (and outdated) rows, all (also rows with other "
        "values and repeated keys), or off",
    )
    verify_within_days: int = Field(
        default=30,
        ge=0,
        description="days within which reconciles compare the values of every row, a share each day; 0: keys and "
        "versions only",
    )
    schedule: Annotated[str, AfterValidator(check_schedule)] = Field(
        default=DEFAULT_SCHEDULE, description="cron, @continuous, on_change, or manual; MEDALLION_SCHEDULE overrides it"
    )
    on_change: OnChange = Field(default_factory=OnChange)
    fresh_within: Duration | None = Field(
        default=None, description="a run that has not succeeded so long after it was queued is reported: 90s, 5m or 1h"
    )
    owner: str = Field(default="airflow", min_length=1, max_length=100, description="owner of the DAG, in Airflow's UI")
    tags: Annotated[list[Tag], _one_tag] = Field(default=[], description="tags of the DAG, besides medallion")

    @model_validator(mode="after")
    def _has_a_sink(self) -> Pipeline:
        if self.silver is None and self.gold is None and not self.sinks:
            raise ValueError("the pipeline has no sink: add silver, gold or sinks")
        if reserved := self.sinks.keys() & {"silver", "gold"}:
            raise ValueError(f"sinks: {sorted(reserved)} are built in; give your sinks other names")
        return self

    @model_validator(mode="after")
    def _columns_are_usable(self) -> Pipeline:
        self.columns.check_used(self.source.key, self.enrichment_columns, self.expected_columns)
        check_expectations(self.expect, self.added_columns)
        return self

    @model_validator(mode="after")
    def _adds_no_column_twice(self) -> Pipeline:
        if duplicates := sorted(column for column, count in Counter(self.added_columns).items() if count > 1):
            raise ValueError(f"two enrichments add {duplicates}: give a geocode a prefix, or a function other names")
        return self

    @property
    def key(self) -> list[str]:
        """Columns of the primary key, by their name in the sinks."""
        return [self.columns.sink_name(name) for name in self.source.key]

    @property
    def expected_columns(self) -> list[str]:
        """Source columns that expectations read, by their name in the sinks."""
        named = dict.fromkeys(column for expectation in self.expect for column in expectation.columns)
        return [name for name in named if name not in self.added_columns]

    @property
    def enrichment_columns(self) -> list[str]:
        """Source columns that the enrichments read, by their name in the sinks, without those that one adds."""
        needed: dict[str, None] = {}
        added: set[str] = set()
        for enrichment in self.enrich:
            needed |= dict.fromkeys(c for c in enrichment.settings.reads if c not in added)
            added.update(enrichment.settings.columns)
        return list(needed)

    @property
    def added_columns(self) -> list[str]:
        """Columns that the enrichments add, in order."""
        return [column for enrichment in self.enrich for column in enrichment.settings.columns]

    def policy_for(self, kind: SchemaChangeKind) -> SchemaPolicy:
        """Return what happens to one kind of schema change."""
        return policy_for(kind, self.on_schema_change)

    @property
    def added_types(self) -> tuple[tuple[str, str], ...]:
        """Name and declared type of the columns that the enrichments add; the type is empty where it is fixed."""
        declared = {name: kind for e in self.enrich for name, kind in e.settings.declared_types.items()}
        return tuple((name, declared.get(name, "")) for name in self.added_columns)

    @property
    def ages(self) -> bool:
        """Whether look-ups expire in its rows, so that the daily refresh, which reads Gold, applies to it."""
        return self.gold is not None and any(enrichment.settings.tracks_age for enrichment in self.enrich)

    @property
    def dag_id(self) -> str:
        """`medallion_<pipeline>`."""
        return f"medallion_{self.name}"

    @property
    def silver_table(self) -> str:
        """
        Name of the Snowflake table.

        Raises:
            SettingError: the pipeline has no `silver`.
        """
        if self.silver is None:
            raise SettingError(f"pipeline {self.name} has no silver: add it to the pipeline file")
        return self.silver.table

    @property
    def gold_table(self) -> str:
        """
        Name of the Delta table.

        Raises:
            SettingError: the pipeline has no `gold`.
        """
        if self.gold is None:
            raise SettingError(f"pipeline {self.name} has no gold: add it to the pipeline file")
        return self.gold.table

    @property
    def sink_steps(self) -> dict[str, str]:
        """Name of the step that applies a batch to each sink, by the sink's name, in the order of a run."""
        steps = {"silver": "load_silver"} if self.silver else {}
        steps |= {"gold": "write_gold"} if self.gold else {}
        return steps | {name: f"write_{name}" for name in self.sinks}

    @property
    def targets(self) -> set[tuple[str, str]]:
        """The tables that the pipeline writes to."""
        silver = {(f"silver {self.silver.connection}", self.silver.table.upper())} if self.silver else set()
        return silver | ({("gold", self.gold.table)} if self.gold else set())
