"""Files that are put together from column chunks: every reader finds the rows, regardless of who encoded them."""

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

from include.medallion.lake.parquet import Reader, Writer, column_bounds, reader
from include.medallion.lake.parquet.footer import (
    COLUMNS,
    DICTIONARY,
    GROUPS,
    METADATA,
    TAIL_BYTES,
    decode_footer,
    encode_footer,
    list_values,
    read_footer,
)
from include.medallion.lake.parquet.row_groups import DecodedRowGroup
from include.medallion.model.types.arrow import list_of

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
    "numbers": (list_of(pa.int32()), st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=3)),
    "texts": (list_of(pa.string()), st.lists(st.none() | st.text(max_size=3), max_size=3)),
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
    """Write a file as staged files are written."""
    with Writer(str(path), rows.schema, fs.LocalFileSystem()) as out:
        for start in range(0, rows.num_rows, 7):
            batch = rows.slice(start, 7).combine_chunks().to_batches()[0]
            out.write_row_group(DecodedRowGroup(batch), (), batch)


def spliced(source, target, schema, fresh):
    """Encode the columns named in `fresh` again in each row group and copy the others; return how many were copied."""
    chunks = 0
    with pa.OSFile(str(source)) as file, Writer(str(target), schema, fs.LocalFileSystem()) as out:
        for group in Reader(file, "source").read_groups():
            copied = out.copyable_columns(group) - fresh
            out.write_row_group(group, copied, group.read([name for name in schema.names if name not in copied]))
            chunks += len(copied)
    return chunks


def bits(table):
    """Return a table with floats as the integers of the same bits: 0.0 is not -0.0."""
    at = table.column_names.index("float")
    return table.set_column(
        at, "float", pa.chunked_array([c.view(pa.int64()) for c in table["float"].chunks], pa.int64())
    )


@pytest.mark.parametrize("write", [by_pyarrow, by_delta, by_us])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS.filter(bool), fresh=st.sets(st.sampled_from(SCHEMA.names)))
def test_rows_survive_a_splice(tmp_path, write, rows, fresh):
    """Arrow and DuckDB read the rows of the source, regardless of which columns are copied and who encoded them."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    write(tmp_path / "source.parquet", table)
    copied = spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", SCHEMA, fresh)
    assert copied == (len(SCHEMA) - len(fresh)) * -(-len(rows) // 7)
    assert bits(pq.read_table(tmp_path / "target.parquet")).equals(bits(table))
    found = duckdb.read_parquet(str(tmp_path / "target.parquet")).to_arrow_table()
    assert found.num_rows == len(rows)
    assert found["whole"].to_pylist() == table["whole"].to_pylist()
    assert found["text"].to_pylist() == table["text"].to_pylist()


@pytest.mark.parametrize("write", [by_pyarrow, by_delta, by_us])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS.filter(bool), names=st.sets(st.sampled_from(SCHEMA.names)))
def test_texts_as_dictionaries_are_the_same_texts(tmp_path, write, rows, names):
    """A column that is read as a dictionary has the values that it has when it is read as it is."""
    write(tmp_path / "source.parquet", pa.Table.from_pylist(rows, SCHEMA))
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        for group in Reader(file, "source").read_groups():
            plain, found = group.read(names), group.read_dictionaries(names)
            assert found.schema.names == plain.schema.names
            assert [c.cast(p.type) for c, p in zip(found, plain, strict=True)] == plain.columns


def test_repeated_texts_are_read_as_a_dictionary(tmp_path, rows):
    """Other columns are not, whether or not their values are encoded by a dictionary."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        types = {
            tuple(group.read_dictionaries(rows.column_names).schema.types) for group in Reader(file, "").read_groups()
        }
    assert types == {(pa.int64(), pa.dictionary(pa.int32(), pa.string()))}


def test_a_dictionary_that_a_writer_gave_up_is_read_whole(tmp_path):
    """Its first pages refer to a dictionary, the others hold values."""
    table = pa.table({"name": [f"name {n}" for n in range(2000)]})
    path = tmp_path / "source.parquet"
    pq.write_table(table, path, dictionary_pagesize_limit=4096, data_page_size=1024, write_batch_size=100)
    assert {"PLAIN", "RLE_DICTIONARY"} <= set(pq.read_metadata(path).row_group(0).column(0).encodings)
    with pa.OSFile(str(path)) as file:
        (group,) = Reader(file, "source").read_groups()
        assert group.read_dictionaries(["name"]).column(0).cast(pa.string()).equals(table["name"].combine_chunks())


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
    """Memory does not grow with the row groups of other writers: a large one is read in batches, to be encoded."""
    monkeypatch.setattr(reader, "MAX_GROUP_ROWS", 99)
    monkeypatch.setattr(reader, "BATCH_ROWS", 30)
    pq.write_table(rows, tmp_path / "source.parquet", row_group_size=100)
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, set()) == 0
    assert pq.read_metadata(tmp_path / "target.parquet").row_group(0).num_rows == 30
    assert pq.read_table(tmp_path / "target.parquet").equals(rows)


def test_a_column_of_another_kind_is_not_copied(tmp_path, rows):
    """Another type, another name, or NULL where the target allows none: the column has to be encoded."""
    fields = [pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.binary()), pa.field("Name", pa.string())]
    by_pyarrow(tmp_path / "source.parquet", rows)
    with (
        pa.OSFile(str(tmp_path / "source.parquet")) as file,
        Writer(str(tmp_path / "target.parquet"), pa.schema(fields), fs.LocalFileSystem()) as out,
    ):
        assert {out.copyable_columns(group) for group in Reader(file, "source").read_groups()} == {frozenset()}


def test_a_text_that_is_copied_loses_its_bounds(tmp_path, rows):
    """Another writer's statistics of texts, which may be names, are not copied; those of numbers are."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, set()) == 286
    number, text = (pq.read_metadata(tmp_path / "target.parquet").row_group(1).column(c).statistics for c in (0, 1))
    assert (number.min, number.max, number.null_count) == (7, 13, 0)
    assert text is None


def test_a_footer_comes_back_byte_for_byte(tmp_path):
    """All that Arrow writes into a footer is kept, also where it is longer than what is read at once."""
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
        assert encode_footer(decode_footer(read_footer(file))) == data[-size - TAIL_BYTES :]


def test_a_dictionary_at_offset_0_is_none(tmp_path, rows):
    """Some writers record that of a column without a dictionary; its pages start with the data pages."""
    pq.write_table(rows, tmp_path / "source.parquet", use_dictionary=False)
    data = (tmp_path / "source.parquet").read_bytes()
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        footer = decode_footer(read_footer(file))
    (group,) = list_values(footer, GROUPS)
    for column in list_values(group, COLUMNS):
        column[METADATA][1][DICTIONARY] = (TType.I64, 0)
    pages = data[: -int.from_bytes(data[-TAIL_BYTES:-4], "little") - TAIL_BYTES]
    (tmp_path / "source.parquet").write_bytes(pages + encode_footer(footer))
    assert spliced(tmp_path / "source.parquet", tmp_path / "target.parquet", rows.schema, {"name"}) == 1
    assert pq.read_table(tmp_path / "target.parquet").equals(rows)


def test_a_file_is_created_by_its_first_row_group(tmp_path, rows):
    """A task that is killed before leaves nothing, on object storage not even an upload that costs until it ends."""
    path = tmp_path / "one.parquet"
    with Writer(str(path), rows.schema, fs.LocalFileSystem()) as out:
        out.write_table(rows)
        assert not path.exists()
    assert pq.read_table(path).equals(rows)


def test_a_name_with_a_dot_is_one_column(tmp_path):
    """A column `a.b` is not a field of the column `a`."""
    pq.write_table(pa.table({"a": [1], "a.b": [2], "c": [3]}), tmp_path / "source.parquet")
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        (group,) = Reader(file, "source").read_groups({"a", "c"})
        assert group.read(["a"]).to_pylist() == [{"a": 1}]


def test_only_named_columns_are_read(tmp_path, rows):
    """Rows of the named columns come in batches; names that the file does not have are left out."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    with pa.OSFile(str(tmp_path / "source.parquet")) as file:
        found = Reader(file, "source")
        assert pa.Table.from_batches(found.read_batches(["name", "other"])).equals(rows.select(["name"]))
        assert sum(batch.num_rows for batch in found.read_batches([])) == len(rows)


def test_a_large_batch_is_cut_into_row_groups(tmp_path):
    """The memory of a reader does not grow with the batches of the writer."""
    with Writer(str(tmp_path / "one.parquet"), pa.schema([("id", pa.int16())]), fs.LocalFileSystem()) as out:
        out.write_batch(pa.record_batch({"id": pa.nulls(600_000, pa.int16())}))
    footer = pq.read_metadata(tmp_path / "one.parquet")
    assert [footer.row_group(g).num_rows for g in range(footer.num_row_groups)] == [262_144, 262_144, 75_712]
    assert out.file.rows == footer.num_rows == 600_000


@pytest.mark.parametrize(("values", "bounds"), [([3, 1, 2], (1, 3)), ([3, None], None), ([], None)])
def test_bounds_hold_for_all_rows(tmp_path, values, bounds):
    """Bounds are those of all row groups, and unknown if a value is NULL or there are no rows."""
    pq.write_table(pa.table({"id": pa.array(values, pa.int64())}), tmp_path / "one.parquet", row_group_size=1)
    assert column_bounds(pq.read_metadata(tmp_path / "one.parquet"), "id") == bounds


def test_rows_that_do_not_fit_together_are_refused(tmp_path, rows):
    """Copied and encoded columns make up exactly one row group of the target."""
    by_pyarrow(tmp_path / "source.parquet", rows)
    with (
        pa.OSFile(str(tmp_path / "source.parquet")) as file,
        Writer(str(tmp_path / "target.parquet"), rows.schema, fs.LocalFileSystem()) as out,
    ):
        group = next(Reader(file, "source").read_groups())
        for encoded in (group.read(["name"]).slice(1), group.read([]), group.read(["id", "name"])):
            with pytest.raises(ValueError, match="encode"):
                out.write_row_group(group, {"id"}, encoded)
