"""What the sinks' tables say of themselves, and tables that other writers left as no reader can open."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from include.medallion.errors import ContractBroken
from include.medallion.gold.write import rewrite
from include.medallion.lake.object_store import read_bytes, write_bytes
from include.medallion.model.window import Mode
from tests.integration.one_table import OneTable

NOON = datetime(2021, 1, 1, 12)  # noqa: DTZ001 (what `timestamp` means)


@pytest.fixture
def one(bronze_dsn, lake_uri, lake, silver):
    """Lend a table with comments and a local time."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"})
    one.sql(
        "CREATE TABLE one (id int PRIMARY KEY, postcode text, ts timestamp, x float8, payload bytea)",
        "COMMENT ON TABLE one IS 'the customer''s table'",
        "COMMENT ON COLUMN one.ts IS 'when it''s due'",
        "INSERT INTO one VALUES (1, NULL, '2021-01-01 12:00', 0.0, '\\x00')",
        "INSERT INTO one VALUES (2, NULL, NULL, 0.0)",
    )
    return one


def silver_rows(one, statement):
    """Run a statement in Silver; return its rows."""
    with one.account.connect() as connection, connection.cursor() as cursor:
        return cursor.execute(statement).fetchall()


def silver_comment(one):
    """Return the comment of the Silver table."""
    statement = "SELECT COMMENT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = CURRENT_SCHEMA() AND TABLE_NAME = "
    return silver_rows(one, f"{statement} 'ONE'")[0][0]


def test_both_sinks_have_the_comments_and_a_key_that_is_never_null(one):
    """The table's comment is in both; Gold has those of columns, and names source and pipeline."""
    one.run()
    table = one.open("one")
    fields = {field.name: field for field in table.schema().fields}
    assert table.metadata().description == "the customer's table"
    assert fields["ts"].metadata == {"comment": "when it's due"}
    assert [name for name, field in fields.items() if not field.nullable] == ["id"]
    named = {name: value for name, value in table.metadata().configuration.items() if name.startswith("medallion")}
    assert named == {"medallion.pipeline": "one", "medallion.source": "public.one"}
    assert silver_comment(one) == "the customer's table"
    described = {row[0]: row[1:4] for row in silver_rows(one, "DESCRIBE TABLE ONE")}
    assert (described["ID"][2], described["POSTCODE"]) == ("N", ("VARCHAR(134217728)", "COLUMN", "Y"))


def test_a_changed_comment_arrives_with_the_next_batch(one):
    """It replaces the old one in both sinks; a comment that is removed in the source stays in the sinks."""
    one.run()
    one.sql(
        "COMMENT ON TABLE one IS 'new'",
        "COMMENT ON COLUMN one.ts IS NULL",
        "COMMENT ON COLUMN one.x IS 'a number'",
        "UPDATE one SET x = 1",
    )
    one.run()
    fields = {field.name: field.metadata for field in one.open("one").schema().fields}
    assert (fields["ts"], fields["x"]) == ({"comment": "when it's due"}, {"comment": "a number"})
    assert (one.open("one").metadata().description, silver_comment(one)) == ("new", "new")
    one.sql("UPDATE one SET x = 2")
    version = one.open("one").version()
    one.run()
    assert one.open("one").version() == version + 1


def test_a_table_of_shorter_text_becomes_longer_and_is_not_replaced(one):
    """A Silver table from before the lengths were declared holds longer text after the next batch."""
    one.run()
    silver_rows(one, "ALTER TABLE ONE ALTER COLUMN POSTCODE SET DATA TYPE VARCHAR(16777216)")
    one.sql("UPDATE one SET x = 1")
    assert one.run().schema_changes == ()
    described = {row[0]: row[1] for row in silver_rows(one, "DESCRIBE TABLE ONE")}
    assert described["POSTCODE"] == "VARCHAR(134217728)"


def test_a_local_time_keeps_the_fast_path(one, monkeypatch):
    """A table whose only feature is that of a `timestamp` column is written file by file, not by MERGE."""
    one.run()
    monkeypatch.setattr("include.medallion.gold.apply._merge_rows", lambda _: pytest.fail("MERGE was used"))
    one.sql("UPDATE one SET x = '-0' WHERE id = 1", "INSERT INTO one VALUES (3, NULL, '2021-01-01 12:00', 1)")
    one.run()
    assert one.open("one").protocol().writer_features == ["timestampNtz"]
    for rows in (one.gold(), one.silver()):
        assert [repr(row["x"]) for row in rows] == ["-0.0", "0.0", "1.0"]
        assert [row["ts"] for row in rows] == [NOON, None, NOON]


def test_minus_zero_is_merged_where_files_cannot_be_rewritten(one, monkeypatch):
    """delta-rs's MERGE writes -0.0 over 0.0 too."""
    one.run()
    monkeypatch.setattr(rewrite, "MAX_BATCH_BYTES", 0)
    one.sql("UPDATE one SET x = '-0' WHERE id = 1")
    one.run()
    for rows in (one.gold(), one.silver()):
        assert [repr(row["x"]) for row in rows] == ["-0.0", "0.0"]


def test_a_session_that_changes_the_case_of_names_is_refused(one, monkeypatch):
    """With QUOTED_IDENTIFIERS_IGNORE_CASE, COPY would leave a column of mixed case NULL: nothing is written."""
    from snowflake.connector.cursor import SnowflakeCursor

    execute = SnowflakeCursor.execute

    def ignoring_case(cursor, command, *args, **kwargs):
        return execute(cursor, re.sub(r'"\w+"', lambda name: name[0].upper(), command), *args, **kwargs)

    monkeypatch.setattr(SnowflakeCursor, "execute", ignoring_case)
    one.sql('ALTER TABLE one ADD "FirstName" text', """UPDATE one SET "FirstName" = 'Ann'""")
    with pytest.raises(ContractBroken, match=r"columns \['FirstName'\] of the Silver table ONE have other names there"):
        one.run()
    assert silver_rows(one, "SELECT COUNT(*) FROM ONE") == [(0,)]


@pytest.mark.parametrize("options", [{}, {"mode": Mode.REFRESH}], ids=["window", "full refresh"])
def test_a_table_without_the_feature_that_its_columns_require_is_repaired(one, options):
    """A Gold table that nothing can open any more, because another writer added a `timestamp`, is right again."""
    one.sql("ALTER TABLE one DROP COLUMN ts")
    one.run()
    break_table(one)
    with pytest.raises(Exception, match="timestampNtz"):
        one.open("one")
    one.sql("UPDATE one SET x = 5 WHERE id = 1")
    one.run(**options)
    assert [row["x"] for row in one.gold()] == [row["x"] for row in one.silver()] == [5.0, 0.0]


def break_table(one):
    """Add a `timestamp` column as a writer does that does not add the feature: a commit with the columns alone."""
    lake, log = one.connections.lake, "one/_delta_log"
    newest = one.open("one").version()
    found = [json.loads(line) for line in read_bytes(lake, f"{log}/{0:020d}.json").splitlines()]
    (action,) = [line for line in found if "metaData" in line]
    schema = json.loads(action["metaData"]["schemaString"])
    schema["fields"].append({"name": "added", "type": "timestamp_ntz", "nullable": True, "metadata": {}})
    action["metaData"]["schemaString"] = json.dumps(schema)
    write_bytes(lake, f"{log}/{newest + 1:020d}.json", json.dumps(action).encode())
