"""Masked columns: the same masked values in both sinks, and the plain ones nowhere in the lake."""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lake.object_store import filesystem
from include.medallion.model.values.masks import Mask, MaskKind, mask_sql
from include.medallion.model.values.validation import to_text
from include.medallion.model.window import Mode
from include.medallion.ops.maintenance import maintain, retention
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable

KEY = "a random key of 29 characters"
MASKS = {
    "email": "keep_domain",
    "ssn": "sha256",
    "phone": {"first_n": 3},
    "name": {"hmac": {"environment": "MASK_KEY"}},
    "born": "null",
    "salary": "sha256",
}
CREATE = (
    "CREATE TABLE one (id int PRIMARY KEY, postcode text, email text, ssn text, phone text, name text, born date, "
    "salary numeric(10,2), valid_to timestamptz)"
)


@pytest.fixture
def table(bronze_dsn, lake_uri, lake, silver):
    """Lend a function that makes a table of personal data and a pipeline over it."""

    def make(**settings):
        one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "one", "key": "id"}, **settings)
        one.connections = replace(one.connections, environ={"MASK_KEY": KEY})
        one.sql(CREATE, *(insert(n) for n in range(1, 4)))
        return one

    return make


def insert(number, valid_to="2024-01-01"):
    """Return a statement that inserts a person."""
    return (
        f"INSERT INTO one VALUES ({number}, '98052', 'ann.planted{number}@planted.example', '078-05-112{number}', "
        f"'+1555010{number}', 'Ann Planted {number}', '1911-11-1{number}', 98765.4{number}, '{valid_to}')"
    )


PLAIN = ["ann.planted", "078-05-112", "+1555010", "Ann Planted", "1911-11-1", "98765.4"]
"""What no file of the lake may contain once the columns are masked."""


def sha256(text):
    """Return what a masked text becomes."""
    return hashlib.sha256(text.encode()).hexdigest()


def hmac_of(text, key=KEY):
    """Return what a text masked with a key becomes."""
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()


def masked(number):
    """Return what the sinks hold of a row, as the standard library masks it."""
    return {
        "email": "planted.example",
        "ssn": sha256(f"078-05-112{number}"),
        "phone": "+15",
        "name": hmac_of(f"Ann Planted {number}"),
        "born": None,
        "salary": sha256(f"98765.4{number}"),
    }


def content(one):
    """Return all files of the lake as text: Parquet files as their values and as their bytes."""
    lake = one.connections.lake
    files = filesystem(lake).get_file_info(fs.FileSelector(lake.path(""), recursive=True))
    for file in files:
        if file.type is fs.FileType.File:
            with filesystem(lake).open_input_file(file.path) as opened:
                data = opened.readall()
                if file.path.endswith(".parquet"):
                    yield from ((file.path, text) for text in values(pq.read_table(opened)))
                yield file.path, data.decode("latin-1")


def values(table):
    """Yield the columns of a table as text, also dates that Python cannot hold."""
    for column in table.columns:
        yield from (str(to_text(chunk).to_pylist()) for chunk in column.chunks)


def leaks(one):
    """Return the files that contain a plain value."""
    return sorted({path for path, text in content(one) if any(plain in text for plain in PLAIN)})


def assert_masked(one, numbers):
    """Compare the masked columns of both sinks with what the standard library makes of the source's values."""
    for rows in (one.gold(), one.silver()):
        live = [row for row in rows if row["_deleted_at"] is None]
        assert [{name: row[name] for name in MASKS} for row in live] == [masked(number) for number in numbers]


def test_masked_values_arrive_and_plain_ones_nowhere(table, caplog):
    """Every kind of mask: both sinks are equal; staging, Gold, its log, the quarantine and logs hold no plain value."""
    caplog.set_level(logging.DEBUG)
    one = table(columns={"mask": MASKS})
    one.sql(insert(4, "infinity"))
    one.run()
    assert_masked(one, [1, 2, 3])
    assert len(one.quarantine()) == 1
    assert leaks(one) == []
    assert not any(plain in caplog.text for plain in PLAIN)


def test_a_mask_added_later_removes_the_plain_values(table):
    """The run that brings the mask replaces both tables, deletes older staged batches and quarantine entries."""
    one = table()
    one.sql(insert(4, "infinity"))
    one.run()
    assert leaks(one)
    one.sql("UPDATE one SET valid_to = '2024-01-01' WHERE id = 4")
    one.set(columns={"mask": MASKS})
    summary = one.run()
    assert "name excluded (not masked -> hmac " in "; ".join(summary.schema_changes)
    assert "1 staged batches and 1 quarantine entries; older versions of Delta" in summary.schema_changes[-1]
    assert_masked(one, [1, 2, 3, 4])
    current = {f"{one.pipeline.gold.table}/{file}" for file in one.open("one").file_uris()}
    gold = one.pipeline.gold.table
    leaking = [path for path in leaks(one) if "_delta_log" not in path]
    assert not [path for path in leaking if any(path.endswith(file.rsplit("/", 1)[-1]) for file in current)]
    assert all(f"/{gold}/" in path or "/quarantine/" in path for path in leaking)  # older versions, until vacuum


def test_an_excluded_column_leaves_staging_after_a_kill_too(table):
    """The run that excludes a column is killed before its last step: the next one removes what is left."""
    one = table()
    one.run()
    one.set(columns={"exclude": ["name"]})
    window = one.begin()
    for part in one.extract(window):
        one.enrich(window, part.number)
    one.apply(window, "silver")
    one.apply(window, "gold")
    one.sql("UPDATE one SET postcode = '10001' WHERE id = 1")
    assert "1 staged batches" in one.run().schema_changes[-1]
    staged = [path for path, text in content(one) if "/_staging/" in path and "Ann Planted" in text]
    assert staged == []


def test_maintenance_removes_what_a_killed_run_left(table):
    """Without new rows, the maintenance removes the staged batches of a column that is excluded."""
    one = table()
    one.run()
    one.set(columns={"exclude": ["name"]})
    window = one.begin()
    for part in one.extract(window):
        one.enrich(window, part.number)
    for sink in ("silver", "gold"):
        one.apply(window, sink)
    maintain(one.pipeline, one.connections, retention({}, datetime.now(UTC)))
    assert [path for path, text in content(one) if "/_staging/" in path and "Ann Planted" in text] == []


def test_a_batch_staged_before_the_mask_is_not_applied(table):
    """A trial with plain values, staged before the mask, cannot bring them back."""
    one = table()
    one.run()
    one.sql("UPDATE one SET postcode = '10001'")
    trial = one.begin(mode=Mode.TRIAL, max_rows=3)
    one.extract(trial)
    one.enrich(trial)
    one.set(columns={"mask": {"name": {"hmac": {"environment": "MASK_KEY"}}}})
    window = one.begin()
    for part in one.extract(window):
        one.enrich(window, part.number)
    for sink in ("silver", "gold"):
        one.apply(window, sink)
        with pytest.raises(ContractBroken, match="was staged before columns were masked"):
            one.apply(trial, sink)
    for rows in (one.gold(), one.silver()):
        assert [row["name"] for row in rows] == [hmac_of(f"Ann Planted {n}") for n in (1, 2, 3)]


def test_another_key_masks_all_values_again(table):
    """A new key of an HMAC replaces the tables: no value is masked with the old one."""
    one = table(columns={"mask": {"name": {"hmac": {"connection": "pii"}}}})
    one.connections = replace(one.connections, password={"pii": KEY}.get)
    one.run()
    one.connections = replace(one.connections, password={"pii": KEY[::-1]}.get)
    assert "name excluded (hmac " in one.run().schema_changes[0]
    for rows in (one.gold(), one.silver()):
        assert [row["name"] for row in rows] == [hmac_of(f"Ann Planted {n}", KEY[::-1]) for n in (1, 2, 3)]


@pytest.mark.parametrize("mask", ["sha256", {"hmac": {"environment": "MASK_KEY"}}], ids=["sha256", "hmac"])
def test_a_masked_key_stays_a_key(table, mask):
    """Updates, deletes and quarantine replays find their rows by the masked key."""
    one = table(columns={"mask": {"id": mask}})
    one.sql(insert(4, "infinity"))
    one.run()
    digest = sha256 if mask == "sha256" else hmac_of
    one.sql(
        "UPDATE one SET phone = 'new' WHERE id = 1",
        "DELETE FROM one WHERE id = 2",
    )
    one.run()
    report = reconcile(one.pipeline, one.connections)
    assert (report.lost, [sink.deleted for sink in report.sinks.values()]) == (0, [1, 1])
    one.sql("UPDATE one SET valid_to = '2024-01-01' WHERE id = 4")
    assert one.run(mode=Mode.QUARANTINE).read == 1
    expected = sorted([(digest("1"), "new"), (digest("3"), "+15550103"), (digest("4"), "+15550104")])
    for rows in (one.gold(), one.silver()):
        assert sorted((row["id"], row["phone"]) for row in rows if row["_deleted_at"] is None) == expected
    assert [entry["closed_at"] is None for entry in one.quarantine()] == [False]


@pytest.mark.parametrize(("environ", "said"), [({}, "must hold the key"), ({"MASK_KEY": "short"}, "at least 16")])
def test_a_missing_key_of_a_mask_is_refused(table, environ, said):
    """The message names the column and the variable, and nothing is read."""
    one = table(columns={"mask": MASKS})
    one.connections = replace(one.connections, environ=environ)
    with pytest.raises(SettingError, match=rf"columns.mask.name: the environment variable MASK_KEY .*{said}"):
        one.begin()


EXPECTED = {
    MaskKind.NULL: lambda _: None,
    MaskKind.SHA256: sha256,
    MaskKind.FIRST_N: lambda text: text[:3],
    MaskKind.KEEP_DOMAIN: lambda text: text.rpartition("@")[2] if "@" in text else None,
}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.mark.parametrize("kind", EXPECTED)
def test_masks_of_the_server_are_exact_for_any_text(bronze_dsn, kind):
    """For any text, PostgreSQL computes what Python's standard library does."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        statement = f"SELECT {mask_sql(Mask(kind, 3), '(%s::text)')}"

        @given(st.one_of(texts, st.builds("{}@{}".format, texts, texts)))
        def masks_as_python_does(text):
            assert connection.execute(statement, [text]).fetchone() == (EXPECTED[kind](text),)

        masks_as_python_does()


PLAIN_TEXTS = st.lists(st.text("GHJKLMNPQRSTUVWXYZ", min_size=8), min_size=1, max_size=20, unique=True)


def test_no_plain_text_is_in_any_file_whatever_it_is(table):
    """Any texts, in columns of every kind of mask: masked alike in each run, and in no file of the lake."""
    one = table(columns={"mask": MASKS})
    one.sql("TRUNCATE one")

    @settings(max_examples=4)
    @given(PLAIN_TEXTS)
    def arrive_masked(drawn):
        with psycopg.connect(one.dsn, autocommit=True) as connection:
            (first,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM one").fetchone()
            rows = [(first + n, text, text, f"{text}@planted.example") for n, text in enumerate(drawn)]
            connection.cursor().executemany("INSERT INTO one (id, name, ssn, email) VALUES (%s, %s, %s, %s)", rows)
        one.run()
        expected = [(hmac_of(text), sha256(text), "planted.example") for text in drawn]
        for sink in (one.gold(), one.silver()):
            new = sorted((row for row in sink if row["id"] >= first), key=lambda row: row["id"])
            assert [(row["name"], row["ssn"], row["email"]) for row in new] == expected
        assert [path for path, text in content(one) if any(plain in text for plain in drawn)] == []

    arrive_masked()
