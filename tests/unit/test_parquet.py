"""Files put together of column chunks: every reader finds the rows, whoever had encoded them."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder, Schema, WriterProperties, write_deltalake
from deltalake.transaction import AddAction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs
from thrift.Thrift import TType

from include.medallion.lake.parquet import column_chunks
from include.medallion.lake.parquet.column_chunks import read_groups
from include.medallion.lake.parquet.footer import (
    ABOUT,
    COLUMNS,
    DICTIONARY,
    GROUPS,
    TAIL_BYTES,
    encode_footer,
    list_values,
    read_footer,
)
from include.medallion.lake.parquet.writer import Writer

MOMENTS = st.datetimes()
KINDS = {
    "small": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "text": (pa.string(), st.text(max_size=5)),
    "repeated": (pa.string(), st.sampled_from(["", "x", "ü"])),
    "bytes": (pa.binary(), st.binary(max_size=5)),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "truth": (pa.bool_(), st.booleans()),
    "exact": (pa.decimal128(20, 2), st.integers(-(10**19), 10**19).map(lambda n: Decimal(n).scaleb(-2))),
    "date": (pa.date32(), st.dates()),
    "local": (pa.timestamp("us"), MOMENTS),
    "moment": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda t: t.replace(tzinfo=UTC))),
}
SCHEMA = pa.schema([(name, type_) for name, (type_, _) in KINDS.items()])
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in KINDS.items()}), max_size=40)


def by_pyarrow(path, rows):
    """Write a file in row groups of seven rows."""
    pq.write_table(rows, path, row_group_size=7, compression="zstd", write_page_index=True)


def by_delta(path, rows):
    """Write the file of a table, as compaction does."""
    properties = WriterProperties(max_row_group_size=7, data_page_row_count_limit=2, compression="ZSTD")
    write_deltalake(f"{path}.table", rows, mode="overwrite", writer_properties=properties)
    (file,) = DeltaTable(f"{path}.table").file_uris()
    fs.LocalFileSystem().copy_file(file.removeprefix("file://"), str(path))


def by_us(path, rows):
    """Write a file as stages are."""
    with Writer(str(path), rows.schema, fs.LocalFileSystem()) as out:
        for start in range(0, rows.num_rows, 7):
            out.write_group({}, rows.slice(start, 7).combine_chunks().to_batches()[0], min(7, rows.num_rows - start))


def spliced(source, target, schema, fresh):
    """Put the columns named in `fresh` anew into each row group, the others as they are encoded; count these."""
    kept_chunks = 0
    with pa.OSFile(str(source)) as file, Writer(str(target), schema, fs.LocalFileSystem()) as out:
        for group in read_groups(file):
            kept = {name: chunk for name, chunk in out.copyable_columns(group.chunks).items() if name not in fresh}
            out.write_group(kept, group.read([name for name in schema.names if name not in kept]), group.rows)
            kept_chunks += len(kept)
    return kept_chunks


@pytest.mark.parametrize("write", [by_pyarrow, by_delta, by_us])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS.filter(bool), fresh=st.sets(st.sampled_from(SCHEMA.names)))
def test_rows_survive_a_splice(tmp_path, write, rows, fresh):
    """Whichever columns are handed on and whoever encoded them, Arrow and DuckDB read the rows that were there."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    write(tmp_path / "source.parquet", table)
    kept = spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", SCHEMA, fresh)
    assert kept == (len(SCHEMA) - len(fresh)) * -(-len(rows) // 7)
    assert pq.read_table(tmp_path / "target.parquet").equals(table)
    found = duckdb.read_parquet(str(tmp_path / "target.parquet")).to_arrow_table()
    assert found.num_rows == len(rows)
    assert found["whole"].to_pylist() == table["whole"].to_pylist()
    assert found["text"].to_pylist() == table["text"].to_pylist()


@pytest.fixture
def rows():
    """Give a thousand rows, of which some repeat."""
    return pa.table({"id": pa.array(range(1000)), "name": pa.array([f"n{i % 7}" for i in range(1000)])})


def test_delta_rs_reads_a_splice(tmp_path, rows):
    """A file with pages of two writers is read by a third."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    table = DeltaTable.create(str(tmp_path / "table"), rows.schema)
    spliced(tmp_path / "source.parquet", tmp_path / "table" / "one.parquet", rows.schema, {"name"})
    size = (tmp_path / "table" / "one.parquet").stat().st_size
    table.create_write_transaction(
        [AddAction("one.parquet", size, {}, 0, True, "{}")], "append", Schema.from_arrow(rows.schema)
    )
    reader = QueryBuilder().register("one", DeltaTable(str(tmp_path / "table")))
    found = pa.table(reader.execute("SELECT * FROM one ORDER BY id").read_all())
    assert found.to_pylist() == rows.to_pylist()


def test_a_large_row_group_is_cut(tmp_path, rows, monkeypatch):
    """Memory does not follow the row groups of others: what is above the bound comes in batches, to be encoded."""
    monkeypatch.setattr(column_chunks, "MOST_ROWS", 99)
    monkeypatch.setattr(column_chunks, "BATCH_ROWS", 30)
    pq.write_table(rows, tmp_path / "source.parquet", row_group_size=100)
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, set()) == 0
    assert pq.read_metadata(tmp_path / "target.parquet").row_group(0).num_rows == 30
    assert pq.read_table(tmp_path / "target.parquet").equals(rows)


def test_a_column_of_another_kind_is_not_handed_on(tmp_path, rows):
    """Another type, another name, or NULL where none may be: it has to be encoded."""
    fields = [pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.binary()), pa.field("Name", pa.string())]
    by_pyarrow(tmp_path / "source.parquet", rows)
    with (
        pa.OSFile(str(tmp_path / "source.parquet")) as file,
        Writer(str(tmp_path / "target.parquet"), pa.schema(fields), fs.LocalFileSystem()) as out,
    ):
        assert [out.copyable_columns(group.chunks) for group in read_groups(file)] == [{}] * 143


def test_a_text_that_is_handed_on_leaves_its_bounds(tmp_path, rows):
    """Another writer's statistics of texts, somebody's names maybe, do not come along; those of numbers do."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, set()) == 286
    number, text = (pq.read_metadata(tmp_path / "target.parquet").row_group(1).column(c).statistics for c in (0, 1))
    assert (number.min, number.max, number.null_count) == (7, 13, 0)
    assert text is None


def test_a_footer_comes_back_byte_for_byte(tmp_path):
    """Whatever Arrow writes into one is kept, also where it is longer than what is read at once."""
    wide = pa.table({f"c{n}": [n] for n in range(1000)})
    pq.write_table(
        wide,
        tmp_path / "wide.parquet",
        store_schema=True,
        column_encoding={"c1": "DELTA_BINARY_PACKED"},
        use_dictionary=False,
    )
    data = (tmp_path / "wide.parquet").read_bytes()
    size = int.from_bytes(data[-TAIL_BYTES:-4], "little")
    assert size > 64 << 10
    with pa.OSFile(str(tmp_path / "wide.parquet")) as file:
        assert encode_footer(read_footer(file)) == data[-size - TAIL_BYTES :]


def test_a_dictionary_that_is_said_to_be_at_0_is_none(tmp_path, rows):
    """Some writers say so of a column without one; its pages begin where the data pages do."""
    pq.write_table(rows, tmp_path / "source.parquet", use_dictionary=False)
    data = (tmp_path / "source.parquet").read_bytes()
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        footer = read_footer(file)
    (group,) = list_values(footer, GROUPS)
    for column in list_values(group, COLUMNS):
        column[ABOUT][1][DICTIONARY] = (TType.I64, 0)
    pages = data[: -int.from_bytes(data[-TAIL_BYTES:-4], "little") - TAIL_BYTES]
    (tmp_path / "source.parquet").write_bytes(pages + encode_footer(footer))
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, {"name"}) == 1
    assert pq.read_table(tmp_path / "target.parquet").equals(rows)


def test_a_file_is_begun_by_its_first_row_group(tmp_path, rows):
    """A task that dies before leaves nothing, on object storage no upload that is paid for until somebody ends it."""
    path = tmp_path / "one.parquet"
    with Writer(str(path), rows.schema, fs.LocalFileSystem()) as out:
        out.write_table(rows)
        assert not path.exists()
    assert pq.read_table(path).equals(rows)
