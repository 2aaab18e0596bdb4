"""A part of many row groups: copying encoded columns gives the same rows as decoding and encoding them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.medallion.bronze import rows as bronze_rows
from include.medallion.enrich.part import enrich_part
from include.medallion.enrich.registry import open_enrichments
from include.medallion.lake import parquet_files
from include.medallion.lake.object_store import open_lake
from include.medallion.lake.parquet import Writer, reader, writer
from include.medallion.lake.parquet.row_groups import encoded_chunks
from include.medallion.lake.parquet_files import create_parquet, read_row_groups, read_table
from include.medallion.model.columns import source_column
from include.medallion.model.values.validation import BINARY_BYTES, TEXT_BYTES, may_be_invalid
from include.medallion.staging.layout import ENRICHED, QUARANTINED, RAW, part_file
from include.medallion.staging.parts import Part, StagedFile
from tests.integration.gold_people import People, batch

NUMERIC_10_2 = ((10 << 16) | 2) + 4  # as Postgres's catalogue has it
COLUMNS = tuple(
    source_column(*named)
    for named in (
        ("id", "int8", -1),
        ("postcode", "text", -1),
        ("born", "date", -1),
        ("salary", "numeric", NUMERIC_10_2),
        ("name", "varchar", -1),
        ("photo", "bytea", -1),
    )
)
SCHEMA = bronze_rows.raw_schema(COLUMNS)
LATE = 3_000_000  # days from 1970: a date that Postgres knows, and the sinks do not
ROWS = st.fixed_dictionaries(
    {
        "id": st.sampled_from([1, 2, None, *range(10, 30)]),
        "postcode": st.sampled_from(["98052", "00501", "98052-1234", "XXXXX", "", None]),
        "born": st.sampled_from([0, 1, LATE, None, *range(10, 30)]),
        "salary": st.sampled_from(["1.50", "NaN", None, "-2.25"]),
        "name": st.sampled_from(["Ann", None, ""]),
        "photo": st.sampled_from([b"", b"\x00", None]),
    }
)


def stage(people, groups):
    """Stage raw rows, each list of them as a row group of its own; return the part."""
    with create_parquet(people.lake, part_file(batch(1), RAW, 0), SCHEMA) as out:
        for rows in groups:
            arrays = [pa.array([row.get(f.name) for row in rows], _stored(f.type)).cast(f.type) for f in SCHEMA]
            out.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
    return Part(0, 1, (StagedFile(part_file(batch(1), RAW, 0), 0, out.file),))


def _stored(type_):
    return pa.int32() if pa.types.is_date(type_) else type_


def enriched(people, part):
    """Enrich a part; return its good rows and its bad ones."""
    enrichments = open_enrichments(people.pipeline, COLUMNS, {})
    done = enrich_part(people.lake, people.pipeline, enrichments, batch(1), part, datetime(2026, 1, 1, tzinfo=UTC))
    tables = []
    for stage_ in (ENRICHED, QUARANTINED):
        found = read_table(people.lake, part_file(batch(1), stage_, 0))
        tables.append(found.drop_columns(["geocoded_at"] if stage_ == ENRICHED else []))
    assert [table.num_rows for table in tables] == [done.rows, done.quarantined]
    return tables


@pytest.fixture
def groups_of_a_batch(monkeypatch):
    """Let each batch that is written become a row group."""
    monkeypatch.setattr(writer, "ROW_GROUP_BYTES", 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=1, max_size=6))
def test_groups_come_out_as_if_they_were_decoded(tmp_path, groups_of_a_batch, groups):
    """Wherever bad rows are, good rows have their own answers, and both are what a decoded part gives."""
    for rows in groups:
        for row in rows:
            row["_version"], row["_op"] = 50, "upsert"
    people = People(open_lake(f"file://{tmp_path}/{uuid4()}", {}))
    part = stage(people, groups)
    copied = enriched(people, part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "MAX_GROUP_ROWS", 0)
        decoded = enriched(people, part)
    assert copied[0].equals(decoded[0])
    assert copied[1].equals(decoded[1])
    good = [row for rows in groups for row in rows if _is_good(row)]
    assert copied[0]["id"].to_pylist() == [row["id"] for row in good]
    assert copied[0]["geocode_status"].to_pylist() == [_status(row["postcode"]) for row in good]


def _is_good(row):
    return row["id"] is not None and row["salary"] != "NaN" and row["born"] != LATE


def _status(postcode):
    return {"98052": "OK", "00501": "OK", "98052-1234": "OK", "XXXXX": "ZERO_RESULTS"}.get(postcode, "NO_POSTCODE")


def test_a_group_without_a_bad_row_is_copied(tmp_path, groups_of_a_batch, monkeypatch):
    """Its columns are the same bytes, compressed as before, except those that the sinks hold in another type."""
    people = People(open_lake(f"file://{tmp_path}", {}))
    fine = [{"id": n, "postcode": "98052", "salary": "1.50", "_version": 50, "_op": "upsert"} for n in range(9)]
    with monkeypatch.context() as patch:
        patch.setattr(parquet_files, "Writer", partial(Writer, compression="snappy"))
        part = stage(people, [fine, [*fine, {"_version": 50, "_op": "upsert"}]])
    enriched(people, part)
    raw, made = ([*read_row_groups(people.lake, part_file(batch(1), which, 0))] for which in (RAW, ENRICHED))
    old, new = encoded_chunks(raw[0]), encoded_chunks(made[0])
    same = [name for name, chunk in old.items() if name in new and new[name].data.equals(chunk.data)]
    assert same == ["id", "postcode", "born", "name", "photo", "_version"]
    assert [group.rows for group in made] == [9, 9]


@pytest.mark.parametrize(("column", "most"), [("name", TEXT_BYTES), ("photo", BINARY_BYTES)])
def test_a_column_is_looked_at_only_if_a_value_can_be_too_long(column, most):
    """A value cannot be longer than all of them together."""
    (found,) = (c for c in COLUMNS if c.name == column)
    assert not may_be_invalid(found, most)
    assert may_be_invalid(found, most + 1)
