"""A reconcile compares values, not only keys and versions, and repairs the rows that differ."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from include.medallion.errors import ContractBroken
from include.medallion.model.differences import check_nothing_lost
from include.medallion.ops import verify
from include.medallion.ops.reconcile import reconcile
from include.medallion.staging.records.verification import read_progress
from tests.integration.one_table import OneTable

ROWS = 40
COLUMNS = {
    "i2": ("int2", "n"),
    "i8": ("int8", "n * 4000000000"),
    "b": ("bool", "n % 2 = 0"),
    "f4": ("float4", "n / 7.0"),
    "f8": ("float8", "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN 'Infinity' ELSE n / 7.0 END"),
    "d2": ("numeric(12, 2)", "n / 4.0"),
    "d": ("numeric", "n / 7.0"),
    "t": ("text", "CASE n WHEN 1 THEN '' ELSE 'Zoë ' || n END"),
    "c": ("char(5)", "'x' || n"),
    "y": ("bytea", "decode(lpad(to_hex(n), 4, '0'), 'hex')"),
    "da": ("date", "date '0001-01-02' + n * 90000"),
    "ts": ("timestamp", "timestamp '9999-12-30 23:59:59.123456' - n * interval '1 day'"),
    "tz": ("timestamptz", "timestamptz '2020-02-29 10:00:00.5+02' + n * interval '1 hour'"),
    "ti": ("time", "time '10:00:00.5' + n * interval '1 minute'"),
    "u": ("uuid", "md5(n::text)::uuid"),
    "j": ("jsonb", "jsonb_build_object('b', n, 'a', n / 4.0, 'c', jsonb_build_array(n, NULL, 'x'))"),
    "a": ("int[]", "ARRAY[n, NULL, n + 1]"),
    "e": ("text[]", "ARRAY['a,b', NULL, '\"']"),
}


class Values(OneTable):
    """A table whose sinks are changed behind our back."""

    def reconcile(self, **options):
        """Reconcile as the DAG does."""
        return reconcile(self.pipeline, self.connections, **options)

    def gold_table(self):
        """Open Gold."""
        lake = self.connections.lake
        return DeltaTable(lake.table("one"), storage_options=dict(lake.options))

    def silver_sql(self, *statements):
        """Change Silver by hand."""
        with self.account.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a way to make a table of rows with values of many types, which arrived."""

    def make(key="id", columns=("t", "d2"), **settings):
        words = [f"{name} {COLUMNS[name][0]}" for name in columns]
        made = Values(bronze_dsn, lake_uri, lake, silver, {"table": "things", "key": key}, **settings)
        made.sql(
            f"CREATE TABLE things (id int PRIMARY KEY, k text, postcode text, {', '.join(words)}, UNIQUE (k, id))",
            f"INSERT INTO things SELECT n, 'k' || n % 3, '98052', {', '.join(COLUMNS[c][1] for c in columns)} "
            f"FROM generate_series(1, {ROWS}) AS n",
            "INSERT INTO things (id, k) VALUES (0, 'k')",
        )
        made.run()
        return made

    return make


def test_equal_values_of_every_type_are_equal_everywhere(table):
    """NULL, NaN, -0.0, infinities, the first and last years, documents and lists: nothing differs."""
    values = table(columns=tuple(COLUMNS))
    report = values.reconcile(values=True)
    assert {name: dict(sink.different) for name, sink in report.sinks.items()} == {"silver": {}, "gold": {}}
    assert (report.verified, report.repaired) == (ROWS + 1, 0)


def test_names_with_per_cent_signs_and_braces_are_compared(bronze_dsn, lake_uri, lake, silver):
    """They mean something else to drivers that bind parameters, and to templates."""
    values = Values(bronze_dsn, lake_uri, lake, silver, {"table": "100 %s {odd}", "key": "id %(x)s"})
    values.sql(
        'CREATE TABLE "100 %s {odd}" ("id %(x)s" int PRIMARY KEY, "{discount} %" text, postcode text)',
        """INSERT INTO "100 %s {odd}" SELECT n, 'd' || n, '98052' FROM generate_series(1, 9) AS n""",
    )
    values.run()
    values.silver_sql("""UPDATE ONE SET "{DISCOUNT} %" = 'other' WHERE "ID %(X)S" = 3""")
    report = values.reconcile()
    assert (dict(report.sinks["silver"].different), report.repaired) == ({"{discount} %": 1}, 1)
    assert values.silver() == values.gold()


@pytest.mark.parametrize("key", ["id", ["k", "id"]])
def test_changed_values_are_counted_by_column_and_repaired(table, key):
    """Each sink alone, source columns and enrichment columns; the report holds counts, and the daily run suffices."""
    values = table(key)
    values.silver_sql("UPDATE ONE SET T = 'personal' WHERE ID IN (3, 4)")
    values.gold_table().update({"d2": "7.77"}, predicate="id = 5")
    values.gold_table().update({"latitude": "1.5"}, predicate="id = 6")
    report = values.reconcile(repair="off")
    assert dict(report.sinks["silver"].different) == {"t": 2}
    assert dict(report.sinks["gold"].different) == {"d2": 1, "latitude (unlike silver)": 1}
    with pytest.raises(ContractBroken, match=r"silver .*, other values of t in 2 rows; gold .*d2 in 1 rows") as told:
        check_nothing_lost(report)
    assert "personal" not in str(told.value)
    report = values.reconcile()
    assert report.repaired == 4
    check_nothing_lost(report)
    assert values.silver() == values.gold()
    assert {row["id"]: row["t"] for row in values.gold()} == dict(values.sql("SELECT id, t FROM things"))
    assert values.reconcile().faults == 0


def test_a_row_with_a_version_from_the_future_is_found(table):
    """It would be fenced off for ever."""
    values = table()
    values.gold_table().update({"_version": "_version + 1", "t": "'x'"}, predicate="id = 5")
    values.sql("UPDATE things SET t = 'n' WHERE id = 9")
    values.run()
    report = values.reconcile()
    assert dict(report.sinks["gold"].different) == {"_version": 1}
    assert values.silver() == values.gold()


@pytest.mark.parametrize("key", ["id", ["k", "id"]])
def test_a_pass_over_all_rows_goes_on_where_it_stopped(table, monkeypatch, key):
    """Ranges are small here; the first pass is killed after one of them, and nothing is compared twice or left out."""
    values = table(key)
    values.gold_table().update({"t": "t"}, predicate="id > 5")  # text is string_view then
    values.silver_sql("UPDATE ONE SET T = 'wrong'")
    monkeypatch.setattr(verify, "MAX_CELLS", 100)
    compared, compare = [], verify._compare_range

    def killed_after_two(*args):
        if len(compared) == 2:
            raise KeyboardInterrupt
        rows, found = compare(*args)
        compared.append(rows)
        return rows, found

    values.set(repair="off")
    monkeypatch.setattr(verify, "_compare_range", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        values.reconcile(values=True)
    monkeypatch.setattr(verify, "_compare_range", compare)
    assert read_progress(values.connections.lake, "one", verify.ALL).rows == sum(compared) < ROWS
    report = values.reconcile(values=True)
    assert report.verified == ROWS + 1
    assert dict(report.sinks["silver"].different) == {"t": ROWS + 1}
    assert read_progress(values.connections.lake, "one", verify.ALL) is None


def test_each_day_compares_the_next_share(table, monkeypatch):
    """Until all rows have been compared, within `verify_within_days` days; then it begins again."""
    values = table(verify_within_days=5)
    monkeypatch.setattr(verify, "MAX_CELLS", 20)
    shares = [values.reconcile().verified for _ in range(4)]
    assert shares[-1] >= ROWS + 1
    assert sorted(shares) == shares
    assert shares[0] <= (ROWS + 1) / 4 + 4


def test_rows_in_flight_and_in_quarantine_do_not_differ(table):
    """Rows that changed and were not loaded yet, and rows that no sink can hold."""
    values = table(columns=("t", "da"))
    values.sql("UPDATE things SET t = 'next' WHERE id = 1", "UPDATE things SET da = 'infinity' WHERE id = 2")
    assert values.reconcile().faults == 0
    values.run()
    assert len(values.quarantine()) == 1
    assert values.reconcile().faults == 0
