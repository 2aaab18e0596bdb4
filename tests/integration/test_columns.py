"""Which columns and rows flow, and under which name: values compared in the source and in both sinks."""

from __future__ import annotations

import pytest

from include.medallion.errors import ContractBroken, SchemaChanged, SettingError
from include.medallion.model.window import Mode
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

ROWS = "INSERT INTO one VALUES (1, '98052', 'ann', 30), (2, '10001', 'bob', 40), (3, '60601', 'cy', 50)"


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table with three rows and a pipeline with these blocks."""

    def make(where=None, **settings):
        source = {"table": "one", "key": "id", "where": where}
        one = OneTable(bronze_dsn, lake_uri, lake, silver, source, **settings)
        one.sql("CREATE TABLE one (id int PRIMARY KEY, postcode text, name text, age int)", ROWS)
        return one

    return make


def both(one, *names):
    """Return the values of live rows, which both sinks hold alike."""
    gold, silver = ([tuple(row.get(n) for n in names) for row in s if row["_deleted_at"] is None] for s in sinks(one))
    assert gold == silver
    return gold


def sinks(one):
    """Return the rows of Gold and of Silver."""
    return one.gold(), one.silver()


def test_only_included_columns_flow(table):
    """With `include`, a column that is not named reaches neither sink, also one that the source gets later."""
    one = table(columns={"include": ["id", "postcode", "age"]})
    one.run()
    one.sql("ALTER TABLE one ADD COLUMN later text DEFAULT 'x'", "UPDATE one SET age = 31 WHERE id = 1")
    assert one.run().read == 1
    assert both(one, "id", "age") == [(1, 31), (2, 40), (3, 50)]
    for rows in sinks(one):
        assert not {"name", "later"} & rows[0].keys()


def test_new_columns_are_ignored_until_they_are_included(table):
    """`new_columns: ignore` keeps later columns out, in a full refresh too; `include` then brings all their values."""
    one = table(columns={"new_columns": "ignore"})
    one.run()
    one.sql("ALTER TABLE one ADD COLUMN later text", "UPDATE one SET later = 'x', age = 31 WHERE id = 1")
    one.run()
    one.run(mode=Mode.REFRESH)
    assert both(one, "id", "age") == [(1, 31), (2, 40), (3, 50)]
    assert not any("later" in row for rows in sinks(one) for row in rows)
    one.set(columns={"new_columns": "include"})
    one.run()
    assert both(one, "id", "later") == [(1, "x"), (2, None), (3, None)]


def test_renamed_columns_have_their_new_name_everywhere_after_the_source(table):
    """Key, enrichment input and value are renamed: both sinks and deletes use the new names."""
    one = table(
        columns={"rename": {"id": "person_id", "postcode": "zip", "name": "first_name"}},
        enrich={"geocode": {"postcode": "zip", "country": "US"}},
    )
    one.run()
    assert both(one, "person_id", "zip", "first_name", "geocode_status") == [
        (1, "98052", "ann", "OK"),
        (2, "10001", "bob", "OK"),
        (3, "60601", "cy", "OK"),
    ]
    one.sql("UPDATE one SET name = 'ann b' WHERE id = 1", "DELETE FROM one WHERE id = 2")
    one.run()
    assert reconcile(one.pipeline, one.connections).lost == 0
    assert both(one, "person_id", "first_name") == [(1, "ann b"), (3, "cy")]


def test_a_rename_added_later_replaces_the_tables(table):
    """The file renames a column that the sinks hold: one column with all values, and none under the old name."""
    one = table()
    one.run()
    one.set(columns={"rename": {"name": "first_name"}})
    assert one.run().schema_changes == ("first_name renamed (name -> first_name): tables replaced",)
    assert both(one, "id", "first_name") == [(1, "ann"), (2, "bob"), (3, "cy")]
    assert not any("name" in row for rows in sinks(one) for row in rows)


def test_a_rename_survives_that_of_the_source(table):
    """The source renames a column that the file renames: with the file changed, nothing is read again."""
    one = table(columns={"rename": {"name": "first_name"}})
    one.run()
    one.sql("ALTER TABLE one RENAME name TO given")
    with pytest.raises(SettingError, match=r"columns names columns that the table does not have: \['name'\]"):
        one.run()
    one.set(columns={"rename": {"given": "first_name"}})
    assert one.run() is None
    one.sql("UPDATE one SET given = 'eve' WHERE id = 1")
    assert one.run().read == 1
    assert both(one, "id", "first_name") == [(1, "eve"), (2, "bob"), (3, "cy")]


def test_a_renamed_column_may_not_hide_another(table):
    """A new name that another column has is refused before anything is read."""
    one = table(columns={"rename": {"name": "age"}})
    with pytest.raises(ContractBroken, match=r"columns \['age', 'age'\] have the same name in a sink"):
        one.run()


def test_rows_that_do_not_meet_the_filter_stay_in_the_source(table):
    """With `where`, other rows reach neither staging nor a sink, and a reconcile does not miss them."""
    one = table(where="age < 45 AND name <> 'bob'")
    assert one.run().read == 1
    assert both(one, "id") == [(1,)]
    report = reconcile(one.pipeline, one.connections)
    assert (report.source, report.lost) == (1, 0)


def test_a_row_that_no_longer_meets_the_filter_is_deleted_by_the_next_reconcile(table):
    """An update takes a row out of the filter: the reconcile marks it, and an update that brings it back revives it."""
    one = table(where="age < 45")
    one.run()
    one.sql("UPDATE one SET age = 60 WHERE id = 1")
    assert one.run() is None
    report = reconcile(one.pipeline, one.connections)
    assert [sink.deleted for sink in report.sinks.values()] == [1, 1]
    assert both(one, "id", "age") == [(2, 40)]
    one.sql("UPDATE one SET age = 20 WHERE id = 1")
    one.run()
    assert both(one, "id", "age") == [(1, 20), (2, 40)]


def test_another_filter_replaces_the_tables(table):
    """A changed `where` reads all rows again, and the sinks hold just those that meet it; a reconcile waits for it."""
    one = table(where="age < 45")
    one.run()
    one.set(source={"table": "one", "key": "id", "where": "age > 35"})
    with pytest.raises(SchemaChanged, match=r"source.where of pipeline one changed"):
        reconcile(one.pipeline, one.connections)
    assert one.run().schema_changes == ("where settings: tables replaced",)
    assert both(one, "id") == [(2,), (3,)]
    assert reconcile(one.pipeline, one.connections).lost == 0


def test_an_older_batch_brings_no_row_that_the_filter_excludes_now(table):
    """A trial that was staged under another filter is not applied any more."""
    one = table()
    one.run()
    one.sql("UPDATE one SET postcode = '10001'")
    trial = one.begin(mode=Mode.TRIAL, max_rows=3)
    one.extract(trial)
    one.enrich(trial)
    one.set(source={"table": "one", "key": "id", "where": "age > 35"})
    one.run()
    with pytest.raises(ContractBroken, match="rows filtered, as they are now: it cannot be applied again"):
        one.apply(trial, "gold")
    assert both(one, "id") == [(2,), (3,)]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("agee > 3", r"source.where names columns that the table does not have: \['agee'\]"),
        ("name > 3", r"source.where is refused by PostgreSQL \(SQLSTATE 42883\)"),
        ("age", r"source.where is refused by PostgreSQL \(SQLSTATE 42804\)"),
        ("age > 'ten'", r"source.where is refused by PostgreSQL \(SQLSTATE 22P02\)"),
    ],
)
def test_a_filter_that_does_not_fit_the_table_is_refused(table, where, message):
    """The message says what is wrong with the filter, before any row is read."""
    with pytest.raises(SettingError, match=message):
        table(where=where).begin()
