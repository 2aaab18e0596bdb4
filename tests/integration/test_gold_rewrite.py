"""A batch over older rows: what MERGE would make of them, in files that keep their rows' places."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import nan
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import WriterProperties
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.medallion.gold.write import rewrite as gold_rewrite
from include.medallion.lake.object_store import filesystem, open_lake
from include.medallion.lake.parquet.row_groups import encoded_chunks
from include.medallion.lake.parquet_files import read_row_groups
from include.medallion.model.window import Mode
from tests.integration.gold_people import SCHEMA, People, batch, counts, person

KEYS = {
    "int": (pa.int64(), [1, 2, 3, -7, 2**40]),
    "text": (pa.string(), ["a", "A", "", "ä", "a b"]),
    "float": (pa.float64(), [0.5, -0.5, 1e300, 2.0]),
    "decimal": (pa.decimal128(20, 2), [Decimal("1.10"), Decimal("-1.10"), Decimal("1.11")]),
    "date": (pa.date32(), [date(2026, 1, 1), date(1900, 1, 1), date(9999, 12, 31)]),
    "moment": (pa.timestamp("us", "UTC"), [datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2, 3)]),
    "binary": (pa.binary(), [b"", b"\x00", b"\xff\x00"]),
}


MODES = (Mode.TRIAL, Mode.LOOKUPS)  # an upsert and a renewal of answers; neither has a place in the order of windows


@dataclass
class Twins:
    """Two tables that get the same batches; the first asks nothing of a writer, the second wants change files."""

    plain: People
    bound: People
    schema: pa.Schema

    def write(self, window, rows):
        """Write a batch to both; return what each says of it."""
        done = [counts(t.write(window, rows, schema=self.schema)) for t in (self.plain, self.bound)]
        if "delta.enableChangeDataFeed" not in self.bound.table().metadata().configuration:
            self.bound.table().alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
        return done

    def delete(self, version):
        """Mark the rows of a version as deleted in both."""
        for twin in (self.plain, self.bound):
            twin.table().update(predicate=f"_version = {version}", updates={"_deleted_at": "_loaded_at"})

    def rows(self):
        """Return all columns of all rows of both."""
        tables = [t.table().to_pyarrow_table().to_pylist() for t in (self.plain, self.bound)]
        return [sorted(map(repr, rows)) for rows in tables]


@pytest.fixture
def people(lake, lake_uri):
    """Lend an empty prefix on S3 and a pipeline into it."""
    return People(open_lake(lake_uri, lake.options))


def twins(folder, types):
    """Make two pipelines of a key of these types, each with a lake of its own: on the disk, since both do the same."""
    names = [f"k{n}" for n in range(len(types))]
    plain, bound = (People(open_lake(f"file://{folder}/{side}", {}), key=names) for side in ("plain", "bound"))
    added = [(name, pa.string()) for name in plain.pipeline.added_columns if name != "geocode_status"]
    known = [("geocode_status", pa.string()), ("_version", pa.int64())]
    return Twins(plain, bound, pa.schema([*zip(names, types, strict=True), *known, *added]))


def files(people):
    """Return the table's files: name, and the keys in their order."""
    lake, root = filesystem(people.lake), people.lake.path("people")
    names = people.table().to_pyarrow_dataset().files
    return {n: pq.read_table(f"{root}/{n}", filesystem=lake)["id"].to_pylist() for n in names}


def groups(people):
    """Return the encoded columns of each row group of the table's only file."""
    (name,) = people.table().to_pyarrow_dataset().files
    return [encoded_chunks(group) for group in read_row_groups(people.lake, f"people/{name}")]


def operations(people):
    """Return what the log says that each commit was, the newest first."""
    return [commit["operation"] for commit in people.table().history()]


@pytest.mark.parametrize("kinds", [*([kind] for kind in KEYS), ["int", "text"], ["text", "float"]], ids="+".join)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_is_what_a_merge_makes(tmp_path, kinds, data):
    """For any rows and new answers, old ones and replays included, rows and counts are those of delta-rs's MERGE."""
    both = twins(tmp_path / uuid4().hex, [KEYS[kind][0] for kind in kinds])
    key = st.tuples(*(st.sampled_from(KEYS[kind][1]) for kind in kinds))
    batches = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(MODES)), min_size=2, max_size=6)
    for number, mode in data.draw(batches, label="batches"):
        rows = data.draw(st.dictionaries(key, st.tuples(st.sampled_from([None, "x"]), st.integers(0, 2)), min_size=1))
        named = [dict(zip(both.schema.names, (*k, *rest), strict=False)) for k, rest in rows.items()]
        plain, bound = both.write(batch(number, after=0, mode=mode), named)
        assert plain == bound
        if data.draw(st.booleans(), label="deleted"):
            both.delete(number)
    plain, bound = both.rows()
    assert plain == bound


def test_files_keep_their_rows_and_their_order(people):
    """Rows that are written over stay where they were; new ones get a file of their own."""
    for n, first in enumerate((10, 20, 30), start=1):
        people.write(batch(n), [person(first + i, "x@", 100 * n - 50) for i in (2, 0, 1)])
    people.write(batch(4), [person(key, "z@", 350) for key in (31, 5, 10, 22)])
    assert sorted(files(people).values()) == [[5], [12, 10, 11], [22, 20, 21], [32, 30, 31]]
    assert [key for key, email in people.rows() if email == "z@"] == [5, 10, 22, 31]
    assert operations(people) == [*["WRITE"] * 4, "CREATE TABLE"]


def test_files_without_a_row_of_the_batch_stay(people):
    """A file out of the keys' range is not read; one that has none of the keys, or newer rows only, is not written."""
    for n in (1, 2, 3):
        people.write(batch(n), [person(10 * n + i, "x@", 300) for i in (0, 2)])
    before = files(people)
    applied = people.write(batch(4), [person(10, "z@", 350), person(21, "new@", 350), person(30, "old@", 250)])
    after = files(people)
    assert counts(applied) == (1, 1, 1)
    assert {name: keys for name, keys in before.items() if keys != [10, 12]}.items() <= after.items()
    assert sorted(after.values()) == [[10, 12], [20, 22], [21], [30, 32]]


def test_a_batch_that_changes_nothing_writes_no_file(people):
    """If all its rows are older than the table's, the batch is named in the log, and that is all."""
    people.write(batch(1), [person(1, "new@", 250)])
    before = files(people)
    assert counts(people.write(batch(2), [person(1, "old@", 150)])) == (0, 0, 1)
    assert files(people) == before
    assert people.held().batch_id == batch(2).batch_id


def test_a_file_from_before_a_column_was_added(people):
    """Its rows have NULL there once it is rewritten; the rows of the batch have their values."""
    people.write(batch(1), [person(1, "ann@"), person(2, "bob@")])
    wider = SCHEMA.append(pa.field("city", pa.string()))
    people.write(batch(2), [person(3, "eve@", 150, city="Ulm")], schema=wider)
    people.write(batch(3), [person(2, "bob+@", 250, city="Bonn")], schema=wider)
    assert people.rows("id", "email", "city") == [(1, "ann@", None), (2, "bob+@", "Bonn"), (3, "eve@", "Ulm")]
    assert operations(people)[0] == "WRITE"


def test_what_a_batch_does_not_change_stays_as_it_is_encoded(people):
    """Pages that delta-rs wrote are there byte for byte, those of other columns and those of other row groups."""
    for n in (1, 2):
        people.write(batch(n), [person(10 * n + i, "x@", 100 * n - 50, postcode=f"1000{i}") for i in range(4)])
    people.table().optimize.compact(writer_properties=WriterProperties(max_row_group_size=4, compression="SNAPPY"))
    before = groups(people)
    people.write(batch(3), [person(11, "z@", 250, postcode="10001")])
    assert people.rows("email")[-1] == ("z@",)
    changed = [
        {name for name, chunk in new.items() if chunk.data != old[name].data}
        for old, new in zip(before, groups(people), strict=True)
    ]
    assert sorted(changed, key=len) == [set(), {"email", "_version", "_batch_id", "_loaded_at"}]


def test_a_table_that_asks_more_of_a_writer_is_merged_into(people):
    """delta-rs writes the change files of a merge."""
    people.write(batch(1), [person(1, "ann@")])
    people.table().alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
    people.write(batch(2), [person(1, "bob@", 150)])
    assert operations(people)[0] == "MERGE"
    assert people.rows() == [(1, "bob@")]


def test_a_batch_too_large_for_memory_is_merged(people, monkeypatch):
    """Above the bound delta-rs streams it."""
    monkeypatch.setattr(gold_rewrite, "MAX_BATCH_BYTES", 0)
    people.write(batch(1), [person(1, "ann@")])
    people.write(batch(2), [person(1, "bob@", 150)])
    assert operations(people)[0] == "MERGE"
    assert people.rows() == [(1, "bob@")]


def test_the_log_tells_when_files_were_removed(people):
    """Vacuum counts the days from that moment, not from the batch's: readers of the version before have their time."""
    people.write(batch(1), [person(1, "ann@")])
    begun = datetime.now(UTC).timestamp()
    people.write(batch(2), [person(1, "bob@", 150)])
    actions = [json.loads(line) for line in people.log()[0].splitlines()]
    (removed,) = (action["remove"] for action in actions if "remove" in action)
    assert begun <= removed["deletionTimestamp"] / 1000 + 0.001
    assert removed["dataChange"]


@pytest.mark.parametrize(("old", "new"), [(0.0, -0.0), (-0.0, 0.0), (0.0, nan), (nan, 0.0), (nan, nan), (1.5, None)])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
def test_the_sign_of_zero_arrives(people, kind, old, new):
    """A batch that brings -0.0 for 0.0 writes it, though the two are equal; the same for NaN."""
    schema = SCHEMA.append(pa.field("score", kind))
    people.write(batch(1), [person(1, "ann@", score=old), person(2, "bob@", score=old)], schema=schema)
    people.write(batch(2), [person(1, "ann@", 150, score=new)], schema=schema)
    assert operations(people)[0] == "WRITE"
    assert list(map(repr, people.rows("id", "score"))) == [repr((1, new)), repr((2, old))]
