"""What happens to enriched parts of which Gold holds no row yet: they become files of the table, safely."""

from __future__ import annotations

import secrets

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.medallion.gold.apply import apply_batch
from include.medallion.gold.log import commit_properties
from include.medallion.gold.write import append as gold_append
from include.medallion.gold.write.files import GoldBatch
from include.medallion.gold.write.rows import interleave_parts
from include.medallion.lake.object_store import filesystem, open_lake
from include.medallion.model.columns import SYSTEM_COLUMNS, batch_columns
from include.medallion.model.window import Mode
from include.medallion.staging.layout import ENRICHED, part_file
from tests.integration.gold_people import SCHEMA, People, batch, counts, met, person

WHOLE = pa.schema([*SCHEMA, *((c.name, c.type) for c in SYSTEM_COLUMNS[1:])])
MEGABYTE = "x" * 1_000_000


@pytest.fixture
def people(lake, lake_uri):
    """Lend an empty prefix on S3 and a pipeline into it."""
    return People(open_lake(lake_uri, lake.options))


def whole(window, *rows):
    """Give rows as `enrich` stages them: with what the batch has in common."""
    values = dict(zip((c.name for c in SYSTEM_COLUMNS[1:]), (v.as_py() for v in batch_columns(window)), strict=True))
    return [row | values for row in rows]


def write(people, window, *parts, lake=None):
    """Stage whole parts and write them to Gold."""
    return people.write(window, *(whole(window, *rows) for rows in parts), schema=WHOLE, lake=lake)


def paths(people):
    """Return the table's files, as the filesystem names them."""
    return [uri.removeprefix("s3://") for uri in people.table().file_uris()]


def test_a_part_becomes_a_file_of_the_table(people):
    """Into an empty table: the very bytes that were staged, and the rows are all there."""
    applied = write(people, batch(1), [person(1, "ann@"), person(2, "bob@")])
    assert counts(applied) == (2, 0, 0)
    assert people.rows() == [(1, "ann@"), (2, "bob@")]
    files, (path,) = filesystem(people.lake), paths(people)
    raw = files.open_input_file(people.lake.path(part_file(batch(1), ENRICHED, 0))).read()
    assert files.open_input_file(path).read() == raw


def stage_by_key(people, window, version):
    """Stage ids from 1 to 8 as two parts, odd and even, each with a file for the first four and one for the others."""
    parts = [], []
    for part, first in enumerate((1, 2)):
        for chunk in (0, 1):
            ids = range(first + 4 * chunk, 5 + 4 * chunk, 2)
            rows = whole(window, *(person(i, "x@", version) for i in ids))
            parts[part].append(people.stage_chunk(window, part, chunk, [rows], WHOLE))
    return people.batch(window, *parts)


@pytest.mark.parametrize("mode", [Mode.WINDOW, Mode.REFRESH])
def test_parts_cut_by_key_become_a_file_for_each_chunk(people, mode):
    """A file holds the neighbours of one chunk of the source, of all parts; a full refresh has no other files then."""
    if mode is Mode.REFRESH:
        write(people, batch(1), [person(3, "old@"), person(99, "gone@")])
    window = batch(2, after=0, mode=mode)
    applied = apply_batch(stage_by_key(people, window, 150))
    assert counts(applied) == (8, 0, 0)
    files = filesystem(people.lake)
    assert sorted(pq.read_table(path, filesystem=files)["id"].to_pylist() for path in paths(people)) == [
        [1, 3, 2, 4],
        [5, 7, 6, 8],
    ]
    assert people.rows() == [(n, "x@") for n in range(1, 9)]
    assert people.held().batch_id == window.batch_id


def test_a_chunk_larger_than_a_file_becomes_several(people, monkeypatch):
    """The files of a large refresh, which is one chunk, have the size of the table's others; no row is lost between."""
    monkeypatch.setattr(gold_append, "TARGET_FILE_BYTES", 4 << 20)
    window, parts = batch(1), []
    for part in (0, 1):
        ids = [i for i in range(40) if i % 2 == part]
        rows = whole(window, *(person(i, f"{i}{secrets.token_hex(250_000)}") for i in ids))
        parts.append([people.stage_chunk(window, part, 0, [[row] for row in rows], WHOLE)])
    assert counts(apply_batch(people.batch(window, *parts))) == (40, 0, 0)
    sizes = [filesystem(people.lake).get_file_info(path).size for path in paths(people)]
    assert len(sizes) > 1
    assert max(sizes) < 4 * (4 << 20)
    assert [row[0] for row in people.rows("id")] == list(range(40))


def test_rows_above_all_others_leave_the_files_alone(people):
    """A batch whose keys are all larger adds a file; what was there is not written again."""
    write(people, batch(1), [person(1, "ann@"), person(2, "bob@")])
    before = paths(people)
    applied = write(people, batch(2), [person(3, "cid@", 150)])
    assert counts(applied) == (1, 0, 0)
    assert set(before) < set(paths(people))
    assert people.rows() == [(1, "ann@"), (2, "bob@"), (3, "cid@")]


def test_a_key_that_is_there_is_updated_not_added(people):
    """One row within the range of what is there, and the batch is merged."""
    write(people, batch(1), [person(1, "ann@"), person(2, "bob@")])
    applied = write(people, batch(2), [person(2, "bobby@", 150), person(3, "cid@", 150)])
    assert counts(applied) == (1, 1, 0)
    assert people.rows() == [(1, "ann@"), (2, "bobby@"), (3, "cid@")]


def test_a_replayed_part_is_not_added_twice(people):
    """A batch that Gold holds makes no commit and no file."""
    write(people, batch(1), [person(1, "ann@")])
    assert write(people, batch(1), [person(1, "ann@")]).replayed
    assert (people.table().version(), len(paths(people))) == (1, 1)


def test_one_key_in_two_parts_that_meet_is_one_row(people, lake):
    """A part that was to be added when another batch brought its key meanwhile is merged instead."""
    write(people, batch(1), [])
    others = People(people.lake, name="others")
    applied, proxy = met(
        people,
        lake,
        batch(2),
        whole(batch(2), person(1, "anna@", 150)),
        lambda: others.write(batch(1, name="others"), [person(1, "ann@", 50)]),
        schema=WHOLE,
    )
    assert counts(applied) == (0, 1, 0)
    assert proxy.answers[0] == 412
    assert people.rows() == [(1, "anna@")]


def test_the_log_tells_bounds_of_numbers_only(people):
    """A file that was added as it is has the same few statistics as any other: none of a person."""
    write(people, batch(1), [person(1, "ann@example.com", postcode="98052"), person(7, "bob@example.com")])
    (text,) = [line for line in people.log()[0].splitlines() if '"add"' in line]
    assert '\\"maxValues\\": {\\"id\\": 7, \\"_version\\": 50, \\"_batch_id\\": 20260101000000001}' in text
    assert "example.com" not in text
    assert "98052" not in text


def test_a_table_with_another_column_gets_a_written_file(people):
    """A part without a column of the table is written, not added as it is: the column is NULL there."""
    more = pa.schema([*WHOLE, pa.field("phone", pa.string())])
    ordered = pa.schema([more.field(n) for n in ("id", "email", "phone", *WHOLE.names[2:])])
    people.write(batch(1), whole(batch(1), person(1, "ann@", phone="1")), schema=ordered)
    write(people, batch(2), [person(2, "bob@", 150)])
    assert people.rows("id", "phone") == [(1, "1"), (2, None)]


def test_parts_are_written_in_turns(people):
    """Rows that were neighbours in the source are near each other in Gold, though their parts were two."""
    window, files = batch(1), []
    for part in (0, 1):
        rows = whole(window, *(person(n, MEGABYTE, postcode="1") for n in range(1 + part, 61, 2)))
        files.append(people.stage_chunk(window, part, 0, [[row] for row in rows], WHOLE))
    gold = GoldBatch(people.lake, people.pipeline, window, files, None, WHOLE, commit_properties(window))
    order = interleave_parts(gold).read_all()["id"].to_pylist()
    assert sorted(order) == list(range(1, 61))
    assert max(abs(n - place) for place, n in enumerate(order, 1)) < 20


def test_a_part_of_several_is_not_added_as_it_is(people):
    """Each of several parts holds keys from all over the table: they are rewritten, cut by range."""
    applied = write(people, batch(1), [person(1, "ann@")], [person(2, "bob@")])
    assert counts(applied) == (2, 0, 0)
    assert len(paths(people)) == 1
    assert people.held().batch_id == batch(1).batch_id
