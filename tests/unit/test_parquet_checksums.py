"""Staged files that are damaged: every reader gets the values that were written, or an error."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from include.medallion.errors import ContractBroken
from include.medallion.lake import object_store
from include.medallion.lake.object_store import open_lake
from include.medallion.lake.parquet import Reader, Writer, reader
from include.medallion.lake.parquet.checksums import recorded_checksum
from include.medallion.lake.parquet.footer import MAGIC
from include.medallion.lake.parquet.row_groups import encoded_chunks
from include.medallion.lake.parquet_files import (
    create_parquet,
    read_footer,
    read_row_groups,
    read_rows,
    read_schema,
    read_table,
    verify,
)

KEY = "_staging/people/1/raw/part-0000-0000.parquet"
STEP = 13  # every 13th bit is flipped: about every second byte, at all places in a byte; 1 tries all
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = pa.table(
    {
        "id": pa.array(range(40), pa.int64()),
        "name": [f"name {n % 5}" for n in range(40)],
        "score": [n / 3 for n in range(40)],
        "moment": pa.array([MOMENT, None] * 20, pa.timestamp("us", "UTC")),
    }
)


@pytest.fixture
def lake(tmp_path):
    """Return a lake in a folder."""
    return open_lake(f"file://{tmp_path}", {})


def written(lake, rows=ROWS, per_group=25):
    """Write rows in several row groups; return what a manifest records of the file, and where it is."""
    with create_parquet(lake, KEY, rows.schema) as out:
        for batch in rows.to_batches(per_group):
            out.write_batch(batch)
            out._flush()
    return out.file, lake.path(KEY)


def flipped(data, bit):
    """Return data with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def damaged(data, start=0, end=None):
    """Yield copies of a file with one bit changed each."""
    return (flipped(data, bit) for bit in range(8 * start, 8 * (len(data) if end is None else end), STEP))


def test_no_bit_of_a_file_can_change_unnoticed(lake):
    """Each single bit that flips, in pages, footer or between, is refused, or no reader of rows looks at it."""
    info, path = written(lake)
    data = Path(path).read_bytes()
    for changed in damaged(data):
        with pytest.raises(ContractBroken, match=f"^{KEY} is damaged: "):
            Reader(pa.BufferReader(changed), KEY, info).verify()
    for changed in damaged(data, len(MAGIC)):
        with pytest.raises(ContractBroken, match=f"^{KEY} is damaged: "):
            [*Reader(pa.BufferReader(changed), KEY, info).read_batches()]
    for changed in damaged(data, 0, len(MAGIC)):
        assert pa.Table.from_batches(Reader(pa.BufferReader(changed), KEY, info).read_batches()).equals(ROWS)


def test_damage_of_a_file_that_no_manifest_lists_is_no_other_error(lake):
    """Without a manifest pages are still verified; a footer that is damaged is reported as such if it is noticed."""
    data = Path(written(lake)[1]).read_bytes()
    pages = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    for changed in damaged(data, len(MAGIC), pages):
        with pytest.raises(ContractBroken, match="does not match its checksum"):
            [*Reader(pa.BufferReader(changed), KEY).read_batches()]
    for changed in damaged(data, pages):
        with suppress(ContractBroken):
            [*Reader(pa.BufferReader(changed), KEY).read_batches()]
        with suppress(ContractBroken):
            Reader(pa.BufferReader(changed), KEY).schema  # noqa: B018


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1, exclude_max=True), end=st.binary(max_size=40))
def test_a_file_of_another_length_is_refused(lake, cut, end):
    """A truncated file, or one that something else ends, is refused by its size or its footer."""
    info, path = written(lake)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(cut * len(data))] + end)
    for read in (read_schema, read_footer, read_table, verify):
        with pytest.raises(ContractBroken, match="is damaged"):
            read(lake, KEY, info)
    with pytest.raises(ContractBroken, match="is damaged"):
        read_schema(lake, KEY)


def test_an_older_file_in_place_of_the_listed_one_is_refused(lake):
    """A file that is valid, but not the one in the manifest, is refused."""
    info, _ = written(lake)
    written(lake, ROWS.set_column(2, "score", pa.array([1 + n / 3 for n in range(40)])))
    with pytest.raises(ContractBroken, match="is damaged"):
        next(read_rows(lake, KEY, info))


def test_a_missing_file_is_refused_if_a_manifest_lists_it(lake):
    """A manifest that lists a file promises that it is there; without a manifest the caller may ask."""
    info, path = written(lake)
    fs.LocalFileSystem().delete_file(path)
    with pytest.raises(ContractBroken, match=f"{KEY} is missing"):
        next(read_rows(lake, KEY, info))
    with pytest.raises(FileNotFoundError):
        next(read_rows(lake, KEY))


@pytest.mark.parametrize("column", range(4))
def test_a_large_row_group_is_verified_before_it_is_decoded(lake, monkeypatch, column):
    """A row group that memory does not hold is verified in pieces."""
    monkeypatch.setattr(reader, "MAX_GROUP_ROWS", 10)
    monkeypatch.setattr(reader, "_PIECE_BYTES", 7)
    info, path = written(lake)
    verify(lake, KEY, info)
    assert read_table(lake, KEY, info).equals(ROWS)
    place = pq.read_metadata(path).row_group(1).column(column).data_page_offset
    Path(path).write_bytes(flipped(Path(path).read_bytes(), 8 * place + 100))
    for act in (verify, read_table):
        with pytest.raises(ContractBroken, match=f"column {column} of row group 1 does not match its checksum"):
            act(lake, KEY, info)


def test_only_the_columns_that_are_read_are_verified(lake):
    """A reader of one column fetches and verifies its chunks only."""
    info, path = written(lake)
    place = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    Path(path).write_bytes(flipped(Path(path).read_bytes(), 8 * place))
    assert read_table(lake, KEY, info, ["id", "moment"]).equals(ROWS.select(["id", "moment"]))
    with pytest.raises(ContractBroken, match="column 1 of row group 0"):
        read_table(lake, KEY, info, ["name"])


def test_a_copied_column_keeps_its_checksum(lake, tmp_path):
    """A file that is put together from another one's chunks is covered by the same checksums."""
    info, _ = written(lake)
    with Writer(str(tmp_path / "copy.parquet"), ROWS.schema, fs.LocalFileSystem()) as out:
        for group in read_row_groups(lake, KEY, info):
            copied = out.copyable_columns(group) - {"score"}
            out.write_row_group(group, copied, group.read(["score"]))
    with pa.OSFile(str(tmp_path / "copy.parquet")) as file:
        copy = Reader(file, "copy", out.file)
        copy.verify()
        pairs = zip(copy.read_groups(), read_row_groups(lake, KEY, info), strict=True)
        for new, old in [(encoded_chunks(a), encoded_chunks(b)) for a, b in pairs]:
            assert {n: recorded_checksum(c.metadata) for n, c in new.items()} == {
                n: recorded_checksum(c.metadata) for n, c in old.items()
            }


def test_a_column_of_another_writer_gets_a_checksum_when_it_is_copied(tmp_path):
    """Files of other writers carry no checksums; what a `Writer` makes of them does."""
    pq.write_table(ROWS, tmp_path / "source.parquet")
    with (
        pa.OSFile(str(tmp_path / "source.parquet")) as file,
        Writer(str(tmp_path / "copy.parquet"), ROWS.schema, fs.LocalFileSystem()) as out,
    ):
        source = Reader(file, "source")
        for group in source.read_groups():
            out.write_row_group(group, group.names, group.read([]))
        with pytest.raises(ContractBroken, match="no checksum"):
            source.verify()
    with pa.OSFile(str(tmp_path / "copy.parquet")) as file:
        Reader(file, "copy", out.file).verify()
        assert pa.Table.from_batches(Reader(file, "copy", out.file).read_batches()).equals(ROWS)


def test_a_damaged_page_of_another_writer_is_refused(tmp_path):
    """Without a checksum a page that cannot be decoded is reported as damage of the file."""
    pq.write_table(ROWS, tmp_path / "one.parquet", compression="zstd", use_dictionary=False)
    place = pq.read_metadata(tmp_path / "one.parquet").row_group(0).column(0).data_page_offset
    data = (tmp_path / "one.parquet").read_bytes()
    (tmp_path / "one.parquet").write_bytes(data[:place] + bytes(40) + data[place + 40 :])
    with (
        pa.OSFile(str(tmp_path / "one.parquet")) as file,
        pytest.raises(ContractBroken, match="one is damaged: row group 0 cannot be decoded"),
    ):
        [*Reader(file, "one").read_batches()]


def test_a_file_records_what_a_manifest_needs(lake):
    """Rows and size are those of the file; an empty file can be verified too."""
    info, path = written(lake)
    assert (info.rows, info.size) == (40, fs.LocalFileSystem().get_file_info(path).size)
    assert len(info.checksum) == 8
    with create_parquet(lake, "empty.parquet", ROWS.schema) as out:
        pass
    verify(lake, "empty.parquet", out.file)
    assert read_schema(lake, "empty.parquet", out.file).equals(ROWS.schema)
    assert read_table(lake, "empty.parquet", out.file).num_rows == out.file.rows == 0
    assert object_store.list_files(lake, "") == [KEY, "empty.parquet"]
