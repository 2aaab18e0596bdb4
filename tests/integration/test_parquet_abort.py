"""A writer that fails: no file is left that a reader could take for a complete one."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa
import pytest
from pyarrow import fs

from include.medallion.lake.object_store import filesystem, open_lake
from include.medallion.lake.parquet import writer
from include.medallion.lake.parquet_files import create_parquet, read_table

KEY = "_staging/people/1/raw/part-0000-0000.parquet"
ROWS = pa.table({"id": pa.array(range(1000))})


class Killed(BaseException):
    """What a stopped task raises: like KeyboardInterrupt it is no Exception."""


@pytest.fixture(params=["file", "s3"])
def target(request, tmp_path):
    """Return an empty lake in a folder and on S3."""
    if request.param == "file":
        return open_lake(f"file://{tmp_path}/lake", {})
    server = request.getfixturevalue("lake")
    return open_lake(request.getfixturevalue("lake_uri"), server.options)


def left(lake):
    """Return the files of a lake."""
    found = filesystem(lake).get_file_info(
        fs.FileSelector(lake.path("").rstrip("/"), recursive=True, allow_not_found=True)
    )
    return [file.path for file in found if file.type is fs.FileType.File]


def write(lake, *tables, fail_with=None):
    """Write tables, then fail; return the writer."""
    with create_parquet(lake, KEY, tables[0].schema) as out:
        for table in tables:
            out.write_table(table)
        if fail_with:
            raise fail_with
    return out


@pytest.fixture
def groups_of_a_batch(monkeypatch):
    """Let each batch that is written become a row group."""
    monkeypatch.setattr(writer, "ROW_GROUP_BYTES", 1)


@pytest.mark.parametrize("rows", [1, 800_000], ids=["small", "multipart"])
@pytest.mark.parametrize("error", [RuntimeError, Killed])
def test_an_exception_after_a_row_group_leaves_nothing(target, groups_of_a_batch, error, rows):
    """What was written so far is removed, for any exception and any number of bytes that were uploaded."""
    table = pa.table({"id": pa.array(range(rows)), "text": [str(n) * 3 for n in range(rows)]})
    with pytest.raises(error):
        write(target, table, fail_with=error)
    assert left(target) == []


def test_an_exception_before_the_first_row_group_leaves_nothing(target):
    """Rows that are still buffered are dropped; the file was never created."""
    with pytest.raises(RuntimeError):
        write(target, ROWS, fail_with=RuntimeError)
    assert left(target) == []


def test_an_exception_removes_what_an_earlier_attempt_left(target, groups_of_a_batch):
    """A retry that fails after its first row group does not leave the file of the attempt before."""
    write(target, ROWS)
    with pytest.raises(RuntimeError):
        write(target, ROWS, fail_with=RuntimeError)
    assert left(target) == []


def test_a_file_that_cannot_be_closed_leaves_nothing(target, monkeypatch):
    """If the last row group cannot be written, those before it are removed."""
    monkeypatch.setattr(writer, "ROW_GROUP_BYTES", ROWS.nbytes)
    with pytest.raises(pa.ArrowInvalid):
        write(target, ROWS, pa.table({"id": ["text"]}))
    assert left(target) == []


def test_a_file_that_is_not_closed_has_no_manifest_entry(target):
    """Rows, size and checksum of a file are known once it is closed."""
    out = create_parquet(target, KEY, ROWS.schema)
    with pytest.raises(ValueError, match="not closed"):
        out.file  # noqa: B018
    out.close()
    assert out.file.rows == 0


def test_a_closed_file_outlives_an_exception(target):
    """A checkpoint may list a file as soon as it is closed."""
    out = create_parquet(target, KEY, ROWS.schema)
    with suppress(RuntimeError), out:
        out.write_table(ROWS)
        out.close()
        raise RuntimeError
    assert read_table(target, KEY, out.file).equals(ROWS)
