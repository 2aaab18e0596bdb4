"""
What a run read and wrote, with columns, for a reader of lineage such as OpenLineage's provider.

Nothing is looked up unless a plugin of Airflow's registers a reader (`hook_lineage_readers`). What fails is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medallion_connections import find_connection

from include.medallion.config.pipeline import Pipeline

if TYPE_CHECKING:
    from include.medallion.lake.object_store import Lake
    from include.medallion.model.schema.source import SourceSchema
    from include.medallion.model.window import Window

log = logging.getLogger(__name__)
POSTGRES_PORT = 5432


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table that a run read (`bronze`) or wrote, with the type of each column."""

    layer: str
    uri: str
    columns: dict[str, str]


def emit(pipeline: Pipeline, lake: Lake, window: Window) -> None:
    """Hand the tables of a run to the readers that are registered, if there are any."""
    from airflow.sdk.lineage import NoOpCollector, get_hook_lineage_collector

    collector = get_hook_lineage_collector()
    if isinstance(collector, NoOpCollector):
        return
    try:
        collect(collector, pipeline, lake, window)
    except Exception as error:  # noqa: BLE001 (lineage must not fail a run that has loaded its rows)
        log.warning("no lineage of %s (%s)", pipeline.name, type(error).__name__)


def collect(collector: Any, pipeline: Pipeline, lake: Lake, window: Window) -> None:
    """Add the tables of a run to a collector of lineage."""
    from include.medallion.steps.schema.records import read_schema

    schema = read_schema(lake, pipeline.name, window.schema)
    for dataset in datasets(pipeline, lake, schema):
        add = collector.add_input_asset if dataset.layer == "bronze" else collector.add_output_asset
        fields = [{"name": name, "type": kind} for name, kind in dataset.columns.items()]
        add(pipeline, uri=dataset.uri, name=f"{dataset.layer}_{pipeline.name}", asset_extra={"columns": fields})


def datasets(pipeline: Pipeline, lake: Lake, schema: SourceSchema | None) -> Iterator[Dataset]:
    """Yield the source and the sinks, in the order of a run."""
    columns = schema.columns if schema else ()
    added = {name: kind or "string" for name, kind in pipeline.added_types}
    source = find_connection(pipeline.source.connection)
    server = f"{source.host}:{source.port or POSTGRES_PORT}/{source.schema}"
    table = f"{pipeline.source.schema_}/{pipeline.source.table}"
    yield Dataset("bronze", f"postgres://{server}/{table}", {column.name: column.type for column in columns})
    if pipeline.silver:
        place = find_connection(pipeline.silver.connection)
        extra = place.extra_dejson
        account = f"{extra.get('account', place.host)}/{extra.get('database')}/{place.schema}"
        types = {column.name: column.snowflake for column in columns if column.snowflake}
        yield Dataset("silver", f"snowflake://{account}/{pipeline.silver_table}", types | added)
    if pipeline.gold:
        types = {column.name: column.arrow for column in columns if column.arrow}
        yield Dataset("gold", lake.table(pipeline.gold_table), types | added)
