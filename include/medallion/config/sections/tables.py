"""The sections of a pipeline file about the source, the sinks, the parts of a batch and the quarantine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from include.medallion.config.checks.expressions import check_condition
from include.medallion.config.checks.reserved import check_gold_table, check_silver_table
from include.medallion.config.sections.enrichment import FunctionPath, Name, Names, Settings


class Source(Settings):
    """The Bronze table."""

    connection: str = Field(default="bronze", description="Airflow connection of the source database")
    schema_: Name = Field(
        default="public", alias="schema", description="Postgres schema, spelled as in the system catalog"
    )
    table: Name = Field(description="Postgres table, spelled as in the system catalog")
    key: Names = Field(description="columns of the primary key (or of a unique index)")
    where: Annotated[str, AfterValidator(lambda v: check_condition(v, "postgres"))] | None = Field(
        default=None, description="SQL condition; only rows that meet it flow"
    )
    read: Literal["xmin", "log"] = Field(
        default="xmin",
        description="how changes are found: xmin by transaction id (a scan of the table, SELECT is enough), log in the "
        "write-ahead log (no scan, deletes at once; needs wal_level logical, a publication and REPLICATION)",
    )
    publication: Name | None = Field(
        default=None, description="publication of the table, for read: log; default medallion_<table>"
    )
    max_slot_lag_mb: int = Field(
        default=10_240,
        ge=1,
        description="for read: log: megabytes of the log that the source keeps for the pipeline at most; above it the "
        "slot is dropped and the next run reads by transaction id",
    )

    @property
    def publication_name(self) -> str:
        """Name of the table's publication."""
        return self.publication or f"medallion_{self.table}"[:63]


class Parts(Settings):
    """How a batch is divided into parts, one mapped task each."""

    rows_per_part: int = Field(default=1_000_000, ge=1, description="target number of rows in one part")
    keys_per_part: int = Field(
        default=2_000, ge=1, description="target number of enrichment keys in one part, if calls are metered"
    )
    max_parts: int = Field(
        default=10, ge=1, le=1024, description="upper limit of parts in one run (Airflow's max_map_length is 1024)"
    )
    chunk_mb: int = Field(
        default=128,
        ge=1,
        description="megabytes of the source table read at a time (a chunk), fewer if parts are smaller; a killed "
        "extract resumes after the last complete chunk",
    )
    max_parallel_parts: int = Field(
        default=4, ge=1, description="parts enriched at the same time; calls_per_second is divided among them"
    )


class Silver(Settings):
    """The Snowflake table."""

    connection: str = Field(default="silver", description="Airflow connection of the Snowflake account")
    table: Annotated[Name, AfterValidator(check_silver_table)] = Field(
        description="table in the connection's database and schema"
    )
    live_view: Annotated[Name, AfterValidator(check_silver_table)] | None = Field(
        default=None, description="view of the table without the rows that are marked as deleted; default: none"
    )

    @model_validator(mode="after")
    def _view_is_not_the_table(self) -> Silver:
        if self.live_view and self.live_view.upper() == self.table.upper():
            raise ValueError("live_view has the name of the table: choose another one, such as " + f"{self.table}_LIVE")
        return self


class Gold(Settings):
    """The Delta table."""

    table: Annotated[Name, AfterValidator(check_gold_table)] = Field(
        pattern=r"^[\w.=-]+$", description="folder of the table below AWS_URI"
    )


class UserSink(Settings):
    """A sink that the user wrote."""

    open: FunctionPath = Field(description="module:function(name, pipeline, connections) that opens the sink")
    settings: dict[str, Any] = Field(default={}, description="settings for the sink, not interpreted")


class Quarantine(Settings):
    """How many invalid rows a run tolerates."""

    max_share: float = Field(default=0.2, ge=0, le=1, description="a run with a larger share of invalid rows fails")
    min_bad_rows: int = Field(
        default=20, ge=0, description="a run with at most this many invalid rows never fails because of them"
    )
