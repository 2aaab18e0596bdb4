"""A reader of lineage gets the tables of a run, with columns; without a reader nothing is looked up."""

from __future__ import annotations

import medallion_lineage
import pytest
from airflow.sdk.lineage import HookLineageCollector

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.schema.source import SchemaColumn, SourceSchema
from include.medallion.model.window import Window
from include.medallion.steps.schema.records import record_schema

PEOPLE = Pipeline.model_validate(
    {
        "name": "people",
        "source": {"table": "people", "key": "id"},
        "enrich": {"function": {"call": "m:f", "keys": ["id"], "returns": {"rate": "double"}}},
        "silver": {"table": "PEOPLE"},
        "gold": {"table": "people"},
    }
)
COLUMNS = (SchemaColumn(1, "id", "integer", "int32", "INTEGER"), SchemaColumn(2, "gone", "text", "", ""))


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """Make a lake in a folder, and the connections of a pipeline."""
    monkeypatch.setenv("AIRFLOW_CONN_BRONZE", "postgres://u:secret-p@db.example:5433/staff")
    silver = (
        '{"conn_type": "snowflake", "password": "secret-q", "schema": "S", "extra": {"account": "a1", "database": "D"}}'
    )
    monkeypatch.setenv("AIRFLOW_CONN_SILVER", silver)
    return open_lake(f"file://{tmp_path}", {})


def test_a_reader_gets_the_tables_with_their_columns(lake):
    """The source is an input, the sinks are outputs; each has the names and types of its columns, none a secret."""
    schema = record_schema(lake, "people", SourceSchema(COLUMNS), ())
    window, collector = Window("people", "s", 0, 9, 20260101000000000, schema=schema), HookLineageCollector()
    medallion_lineage.collect(collector, PEOPLE, lake, window)
    found = collector.collected_assets
    assert {each.asset.uri: each.asset.extra["columns"] for each in found.inputs} == {
        "postgres://db.example:5433/staff/public/people": [
            {"name": "id", "type": "integer"},
            {"name": "gone", "type": "text"},
        ]
    }
    outputs = {each.asset.uri: {c["name"]: c["type"] for c in each.asset.extra["columns"]} for each in found.outputs}
    assert outputs == {
        "snowflake://a1/D/S/PEOPLE": {"id": "INTEGER", "rate": "double"},
        lake.table("people"): {"id": "int32", "rate": "double"},
    }
    assert "secret" not in str(found)


def test_without_a_reader_nothing_is_looked_up(monkeypatch):
    """No connection is asked for, no schema is read: neither exists here."""
    monkeypatch.delenv("AIRFLOW_CONN_BRONZE", raising=False)
    medallion_lineage.emit(PEOPLE, None, None)
