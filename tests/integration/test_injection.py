"""A pipeline file cannot smuggle SQL: every name in it is only ever a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from psycopg import sql

from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.model.retention import Retention
from include.medallion.ops import maintenance, reconcile
from tests.integration.one_table import OneTable

ATTACKS = ['x"; DROP TABLE victim; --', "x; DROP TABLE victim", "{0.__class__}%(name)s"]
LITERAL = "x'); DROP TABLE victim; --"  # the Snowflake stand-in itself puts names into literals: for the source only
KEEP = Retention(datetime.now(UTC), timedelta(days=1), timedelta(days=1))


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_that_are_attacks_are_only_names(bronze_dsn, lake_uri, lake, silver, attack):
    """Schema, table, key, postcode and Snowflake table are called like an attack: all works, and nothing is dropped."""
    source = {"schema": attack, "table": attack, "key": attack}
    one = OneTable(
        bronze_dsn, lake_uri, lake, silver, source, {"geocode": {"postcode": f"p {attack}", "country": "US"}}
    )
    named = one.pipeline.model_dump(by_alias=True, exclude_none=True)
    columns = {"exclude": [f"not {attack}"]}
    one.pipeline = Pipeline.model_validate({**named, "silver": {"table": attack}, "columns": columns})
    schema, key, postcode, hidden = map(sql.Identifier, (attack, attack, f"p {attack}", f"not {attack}"))
    table = sql.Identifier(attack, attack)
    one.sql(
        "CREATE TABLE victim (id int)",
        sql.SQL("CREATE SCHEMA {}").format(schema),
        sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, {} text, {} text)").format(table, key, postcode, hidden),
        sql.SQL("INSERT INTO {} VALUES (1, '98052', ''), (2, NULL, '')").format(table),
    )
    with one.account.connect() as connection:
        connection.cursor().execute("CREATE TABLE VICTIM (ID INT)")
    assert one.run().sinks["silver"].inserted == 2
    one.sql(sql.SQL("DELETE FROM {} WHERE {} = 2").format(table, key))
    assert reconcile.reconcile(one.pipeline, one.connections).lost == 0
    maintenance.maintain(one.pipeline, one.connections, KEEP)
    assert one.sql("SELECT count(*) FROM victim") == [(0,)]
    with one.account.connect() as connection:
        assert connection.cursor().execute("SELECT count(*) FROM VICTIM").fetchone() == (0,)
    assert [row["_deleted_at"] is None for row in one.gold()] == [True, False]


def test_names_of_the_source_never_end_a_literal(bronze_dsn, lake_uri, lake, silver):
    """Where a name of the source is a value, in the catalogue's queries, it stays one."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"schema": LITERAL, "table": LITERAL, "key": LITERAL})
    table, key = sql.Identifier(LITERAL, LITERAL), sql.Identifier(LITERAL)
    one.sql(
        "CREATE TABLE victim (id int)",
        sql.SQL("CREATE SCHEMA {}").format(key),
        sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, postcode text)").format(table, key),
        sql.SQL("INSERT INTO {} VALUES (1, '98052')").format(table),
    )
    (part,) = one.extract(one.begin())
    assert part.rows == 1
    assert one.sql("SELECT count(*) FROM victim") == [(0,)]


@pytest.mark.parametrize("attack", ["../../elsewhere", "a/b", "s3://other/table", "a b", "a;b", 'a"b'])
def test_the_gold_table_cannot_leave_the_lake(tmp_path, attack):
    """The folder of the Delta table is a plain name: no path, no other bucket."""
    document = {
        "source": {"table": "t", "key": "id"},
        "enrich": {"geocode": {"postcode": "p", "country": "US"}},
        "silver": {"table": "T"},
        "gold": {"table": attack},
    }
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SettingError, match=r"gold\.table"):
        pipeline_files.load_file(tmp_path / "one.yaml")


def test_yaml_makes_no_objects(tmp_path):
    """A tag that asks YAML for a Python object is refused as YAML, and nothing is run."""
    (tmp_path / "one.yaml").write_text(f"source: !!python/object/apply:os.mkdir ['{tmp_path}/made']")
    with pytest.raises(SettingError, match="cannot be read as YAML"):
        pipeline_files.load_file(tmp_path / "one.yaml")
    assert not (tmp_path / "made").exists()
